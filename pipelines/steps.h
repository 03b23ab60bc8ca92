/* SPDX-License-Identifier: Apache-2.0 */
/* steps - commands of our own that run one behind another, each of which is done once.
 *
 * What a step was told stands in DIR/NAME.done when it is done; told the same again it is done
 * already. So a job of several steps that ended early goes on by the same command. Signals that
 * ask to stop are handed to the step that runs, and the job ends with it. */
#ifndef PTQ_STEPS_H
#define PTQ_STEPS_H

#include <stddef.h>
#include "../common/base/err.h"
#include "words.h"

struct steps {
    const char *dir; /* borrowed */
    size_t at;       /* steps begun or found done */
    size_t total;    /* of the whole job, as far as it is known; 0: not */
    double cpu;      /* seconds that the last step took, now or when it was done */
};

/* Makes the folder; blocks the signals that steps are to get. */
int steps_open(struct steps *s, const char *dir, struct err *e);
/* Runs `ptq WORDS...` unless that is done, and says so with `about`. name NULL: always. 1: it ran,
 * 0: it had been done. -1: it failed, with the kind of error that its exit code stands for. */
int steps_run(struct steps *s, const char *name, const char *about, const struct words *w,
              struct err *e);
/* What was done of this name is to be done again. */
int steps_forget(const struct steps *s, const char *name, struct err *e);
/* Of the output of a run that was made to see how it does: all goes but what is known of it. */
int steps_keep_journal(const char *dir, struct err *e);
#define STEPS_WINDOWS 64

/* A divergence from a model: the mean, its standard error, and the mean of each of the first
 * windows. */
struct divergence {
    double kl, se;
    size_t count;
    double window[STEPS_WINDOWS];
};

/* What ptq-eval --keep-figures kept last of the output in dir; ERR_DATA: it is not finite. */
int steps_divergence(const char *dir, struct divergence *d, struct err *e);
/* Standard error of the difference of two on the same windows; 0 where they say nothing of it. */
double steps_doubt(const struct divergence *a, const struct divergence *b);

#endif
