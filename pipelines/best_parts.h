/* SPDX-License-Identifier: Apache-2.0 */
/* best_parts - inside of a search, for the best*.c files alone. */
#ifndef PTQ_BEST_PARTS_H
#define PTQ_BEST_PARTS_H

#include "../common/model/config.h"
#include "best_types.h"
#include "route.h"
#include "steps.h"

#define TRIALS_MAX 16
#define BEST_JUDGE "judge-%zu" /* the step that judges a trial */
#define BEST_SINK .9           /* share of a site's energy from which a first token counts */
#define BEST_STATES "states.safetensors"

/* How a run is made, as far as the search decides it. */
struct way {
    int rotated, dual;
    int64_t length;      /* 0: not the search's to say */
    double first_weight; /* 0: the same */
    const char *solver;  /* NULL: the same */
    const char *fit;     /* of scales; NULL: the same */
};

struct trial {
    struct way way, before; /* before: the best when it was tried */
    int64_t tokens;
    char what[96];        /* what is new in it: "a rotated model" */
    struct divergence of; /* on the held-out text; kl NAN: it was not tried */
    double gain;          /* ln of the divergence before over its own */
    double rel_loss;      /* mean over the sites, of the journal */
    int kept;             /* it became the way of those behind it */
};

/* The site where the first token of the rows holds most. */
struct sink {
    uint64_t block;
    char site[48];
    double energy; /* its share of tr(W H W') */
    double weight; /* and of the weight */
    double lost;   /* the most of its own output that the first token loses at any site; 0: none */
};

struct best {
    const struct best_opts *o;
    const struct route *t;
    const struct config *config;
    int64_t tokens, probe, held, window, length;
    double budget; /* of plain */
    int rotate;
    const char *judge; /* the user's text, or NULL */
    char *dir, *text;  /* text: what trials are judged on */
    char *rotated;     /* folder; NULL: none was made */
    struct steps steps;
    double plain; /* CPU seconds of the run that is asked for, by the first trial's; 0: not known */
    double spent; /* of trials */
    size_t count;
    struct trial trial[TRIALS_MAX];
    struct way way; /* the best so far */
    struct divergence of;
    struct sink sink;
    size_t left_out; /* trials that the budget had no room for */
};

/* best_held.c: rows behind the calibration rows, as lines of {"input_ids"}, into x->text. */
int best_held(struct best *x, struct err *e);

/* best_trial.c: a short run and its judgement. first: it also shows what the first token holds.
 * What it costs goes to x->spent. */
int best_trial(struct best *x, struct trial *t, int first, struct err *e);
/* The command line of a run of this way, into out; the caller adds what is its own. */
int best_words(const struct best *x, struct words *w, const struct way *way, const char *out,
               struct err *e);

/* best_note.c: what was found, as lines of Markdown; the caller's. */
char *best_note(const struct best *x, struct err *e);

#endif
