/* SPDX-License-Identifier: Apache-2.0 */
/* eval - perplexity of a checkpoint, and how far its predictions are from those of a reference.
 *
 * Every window (eval_windows.h) is a sequence of its own and gives window - 1 predictions. */
#ifndef PTQ_EVAL_H
#define PTQ_EVAL_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/base/json.h"
#include "../../common/base/par.h"
#include "../../common/model/model.h"
#include "eval_windows.h"

/* What one window gave; sums over its predictions. */
struct window_sums {
    size_t predictions;
    double nll, ref_nll, kld;
    size_t agree;
    size_t missed; /* answers: tokens that the model does not hold the likeliest */
};

struct eval {
    size_t windows, tokens, predictions;
    int stopped; /* by a signal: the numbers are those of the windows that were done, maybe 0 */
    int answers; /* each window is a question, its predictions the tokens of the answer */
    struct window_sums *window;
    float *kld; /* [predictions] in order, with a reference; else NULL */
};

struct states; /* eval_states.h */

struct eval_opts {
    uint64_t mem;          /* bytes for hidden states of a batch of windows */
    const char *logits;    /* file for logits.i [T, vocab] of each window, or NULL */
    struct states *states; /* the reference's hidden states: kept, or to be kept; NULL: neither */
};

/* Runs m (and ref, or NULL) over all windows, or until a signal asks to stop; then neither logits
 * nor states are kept. */
int eval_run(struct model *m, struct model *ref, struct par *par, const struct windows *w,
             const struct eval_opts *o, struct eval *out, struct err *e);
void eval_release(struct eval *v);

/* An estimate with its standard error; se is NaN where there is none (one window only). */
struct estimate {
    double value, se;
};

struct eval_report {
    size_t windows, tokens, predictions;
    int has_ref, stopped, answers;
    struct estimate exact, logprob; /* of answers: all tokens are the likeliest; log-likelihood */
    struct estimate nll, perplexity, ref_nll, ref_perplexity, dnll, kld_mean, kld_median, kld_p99,
        kld_max, top1;
};

/* Of the first so many windows of v. */
struct estimate eval_perplexity(const struct eval *v, size_t windows);
int eval_report(const struct eval *v, struct eval_report *r, struct err *e);
struct json *eval_report_json(const struct eval_report *r, struct err *e);
/* An array, the mean divergence of each window; NULL: out of memory. With a reference. */
struct json *eval_window_klds(const struct eval *v);

#endif
