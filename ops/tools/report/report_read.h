/* SPDX-License-Identifier: Apache-2.0 */
/* report_read - what a run left behind, read back for ptq-report: its journal, its run.json and
 * waits.json, and a recorded stream of problems.
 *
 * Reads only, and works on a run that is still going or that failed: a last line without its
 * newline is left out (cut is set). Texts belong to the records and live as long as the report.
 * Numbers that a journal does not have are NAN, counts -1. */
#ifndef PTQ_REPORT_READ_H
#define PTQ_REPORT_READ_H

#include <stddef.h>
#include <stdint.h>
#include "../../../common/base/err.h"
#include "../../../common/base/json.h"
#include "../../../common/run/journal_site.h"

#define REPORT_KINDS 64

struct report_site {
    struct journal_site j;
    size_t line;                 /* which of the journal's sites it was */
    size_t kind;                 /* of report.kind */
    size_t kept;                 /* linears left at full precision; when all are, losses are NAN */
    double asym_loss;            /* of its linears together */
    double weights, stored_bits; /* their number, and bits with scales (16) and zero points */
};

/* One sequence length of a site's recorded problem. */
struct report_class {
    uint64_t length, sequences;
    double tokens, weight;        /* weight: sum of w */
    double mean, median, largest; /* of the channels' mean squares */
    double above;                 /* share of channels above 10 times the median */
    /* share of the sum that the largest 1 % of the channels (at least one) hold */
    double top;
    /* share of those channels that are also the largest of all lengths together */
    double overlap;
    /* [K] descending mean squares; NULL: not among the blocks that are drawn */
    double *sorted;
};

struct report_spectrum {
    uint64_t block;
    size_t kind, K, count;
    struct report_class *class; /* in order of length */
};

struct report_pictures; /* report_pictures.h */

struct report {
    char *path, *journal;            /* OUT; its journal.jsonl */
    struct json *records, *run;      /* run NULL: no run.json */
    struct json *waits;              /* NULL: no waits.json */
    const struct json *start, *done; /* NULL: not there (yet) */
    const char *note;                /* why it was made so; NULL: nothing is said */
    struct json *evals;              /* evals.h; empty: none */
    char *failed;                    /* why the writer says it failed; NULL: it does not */
    int cut;                         /* the journal's last line was not whole */
    size_t other;                    /* records of kinds that this version does not know */
    uint64_t sites_all;              /* sites that the run has; 0: not known yet */
    size_t nsites, sites_cap;
    struct report_site *site; /* in order, each once */
    size_t nkinds;
    const char *kind[REPORT_KINDS]; /* names of the sites of a block, in order */
    char *experts[REPORT_KINDS];    /* those of all experts, "expert.*.up"; owned */
    size_t nexperts;
    const char *problems; /* name of the recorded stream; NULL: not given */
    char *problems_why;   /* the stream was not whole: why; NULL: it was */
    size_t nspectra;      /* problems with diagonals, in the order of the stream */
    size_t nproblems;
    struct report_spectrum *spectrum;
    const struct report_pictures *pictures; /* borrowed; NULL: no chunks were given */
};

/* Reads OUT. NULL: no journal, or a line that is not a record; the error names it. */
struct report *report_open(const char *out, struct err *e);
/* Adds the diagonals by length of a recorded stream; drawn(ctx, block): keep the sorted ones? A
 * stream of another run, or with sites the journal does not fit, is an error; one that was cut
 * off is used as far as it goes. */
int report_problems(struct report *r, const char *file,
                    int (*drawn)(const void *ctx, uint64_t block), const void *ctx, struct err *e);
void report_close(struct report **r);

uint64_t report_blocks(const struct report *r);    /* of the run; 0: not known */
size_t report_block_sites(const struct report *r); /* of the first block */
/* The kind of a site of this name; r->nkinds: there is none yet. */
size_t report_kind(const struct report *r, const char *site);
/* Mean squares of one class: fills mean, median, largest, above, top and sorted (malloc'd; the
 * caller may free it). */
int report_measure(struct report_class *c, const double *sums, size_t K, struct err *e);

#endif
