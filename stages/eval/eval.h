/* SPDX-License-Identifier: Apache-2.0 */
/* eval - perplexity of a checkpoint, and how far its predictions are from those of a reference.
 *
 * Protocol (as in GPTQ and its successors): text is tokenized once without special tokens,
 * documents joined with nothing between, cut into windows that do not overlap; every window is a
 * sequence of its own and gives window - 1 predictions; what does not fill the last window is
 * dropped. Chats are rendered by the model's template and then are text like any other. Rows of
 * {"input_ids"} are windows as they are. */
#ifndef PTQ_EVAL_H
#define PTQ_EVAL_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/base/json.h"
#include "../../common/base/par.h"
#include "../../common/model/model.h"
#include "../../common/text/docs.h"

struct windows {
    size_t count, tokens;
    size_t *start; /* [count + 1]: window i is ids[start[i]] to ids[start[i + 1]] */
    int32_t *ids;
    struct docs_count read; /* lines that were skipped, and why */
};

struct windows_opts {
    const char *data, *dir;    /* as data_file.h says; the folder whose tokenizer reads text */
    size_t length, max;        /* of a window of text, at least 2; windows at most, 0: all */
    const char *chat_template; /* file; NULL: the folder's own */
    const char *date;          /* today's, for chat templates that ask; NULL: none */
    enum docs_bad bad_lines;
};

int windows_read(const struct windows_opts *o, struct windows *w, struct err *e);
void windows_release(struct windows *w);

/* What one window gave; sums over its predictions. */
struct window_sums {
    size_t predictions;
    double nll, ref_nll, kld;
    size_t agree;
};

struct eval {
    size_t windows, tokens, predictions;
    int stopped; /* by a signal: the numbers are those of the windows that were done, maybe 0 */
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
    int has_ref, stopped;
    struct estimate nll, perplexity, ref_nll, ref_perplexity, dnll, kld_mean, kld_median, kld_p99,
        kld_max, top1;
};

/* Of the first so many windows of v. */
struct estimate eval_perplexity(const struct eval *v, size_t windows);
int eval_report(const struct eval *v, struct eval_report *r, struct err *e);
struct json *eval_report_json(const struct eval_report *r, struct err *e);

#endif
