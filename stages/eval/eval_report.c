/* SPDX-License-Identifier: Apache-2.0 */
/* eval_report - estimates and standard errors from the sums of each window.
 *
 * Tokens of one window are not independent, windows nearly are: all errors are over windows.
 * Means: the cluster estimator of a ratio, sqrt(W / (W - 1) sum (X_w - mean n_w)^2) / n.
 * Quantiles and the maximum: 400 bootstrap samples of the windows with a fixed seed. Perplexity:
 * exp(nll) times the error of nll. */
#include <math.h>
#include <stdlib.h>
#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "eval.h"

enum { SAMPLES = 400, QUANTILES = 3 };

typedef double sum_fn(const struct window_sums *w);

static double sum_nll(const struct window_sums *w)
{
    return w->nll;
}
static double sum_ref(const struct window_sums *w)
{
    return w->ref_nll;
}
static double sum_dnll(const struct window_sums *w)
{
    return w->nll - w->ref_nll;
}
static double sum_kld(const struct window_sums *w)
{
    return w->kld;
}
static double sum_agree(const struct window_sums *w)
{
    return (double)w->agree;
}

/* Over the first so many windows. */
static struct estimate mean_over(const struct eval *v, size_t windows, sum_fn *f)
{
    struct estimate m = {0.0, NAN};
    double n = 0.0, W = (double)windows, sum = 0.0, square = 0.0;

    for (size_t i = 0; i < windows; i++) {
        n += (double)v->window[i].predictions;
        sum += f(&v->window[i]);
    }
    m.value = sum / n;
    for (size_t i = 0; i < windows; i++) {
        double d = f(&v->window[i]) - m.value * (double)v->window[i].predictions;

        square += d * d;
    }
    if (windows > 1)
        m.se = sqrt(W / (W - 1.0) * square) / n;
    return m;
}

static struct estimate mean_of(const struct eval *v, sum_fn *f)
{
    return mean_over(v, v->windows, f);
}

static struct estimate perplexity_of(struct estimate nll)
{
    const double p = exp(nll.value);

    return (struct estimate){p, p * nll.se};
}

struct estimate eval_perplexity(const struct eval *v, size_t windows)
{
    return perplexity_of(mean_over(v, windows, sum_nll));
}

/* ---- quantiles ---- */

struct ranked {
    float kld;
    uint32_t window;
};

static int by_kld(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    return x->kld < y->kld ? -1 : x->kld > y->kld;
}

/* Median, 99% and maximum when window w counts times[w] times: the smallest value that at least
 * this part of the predictions do not exceed. */
static void quantiles(const struct ranked *r, size_t n, const uint32_t *times, double total,
                      double out[QUANTILES])
{
    const double part[QUANTILES] = {0.5 * total, 0.99 * total, total};
    double below = 0.0;
    size_t q = 0;

    for (size_t i = 0; i < n && q < QUANTILES; i++) {
        below += times[r[i].window];
        while (q < QUANTILES && times[r[i].window] && below >= part[q])
            out[q++] = (double)r[i].kld;
    }
}

static double deviation(const double *x, size_t stride, size_t n)
{
    double mean = 0.0, square = 0.0;

    for (size_t i = 0; i < n; i++)
        mean += x[i * stride] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i * stride] - mean) * (x[i * stride] - mean);
    return sqrt(square / (double)(n - 1));
}

static void bootstrap(const struct eval *v, const struct ranked *r, uint32_t *times,
                      double sample[SAMPLES][QUANTILES])
{
    struct rng rng;

    rng_seed(&rng, 1, 0);
    for (size_t s = 0; s < SAMPLES; s++) {
        double total = 0.0;

        for (size_t w = 0; w < v->windows; w++)
            times[w] = 0;
        while (total == 0.0) /* rows of one token predict nothing */
            for (size_t k = 0; k < v->windows; k++) {
                size_t w = (size_t)rng_below(&rng, v->windows);

                times[w]++;
                total += (double)v->window[w].predictions;
            }
        quantiles(r, v->predictions, times, total, sample[s]);
    }
}

static int kld_quantiles(const struct eval *v, struct estimate *const out[QUANTILES], struct err *e)
{
    struct ranked *r = mem_array(v->predictions, sizeof *r, e);
    uint32_t *times = mem_array(v->windows, sizeof *times, e);
    double(*sample)[QUANTILES] = mem_array(SAMPLES, sizeof *sample, e), value[QUANTILES];
    size_t n = 0;
    int rc = -1;

    if (!r || !times || !sample)
        goto out;
    for (size_t w = 0; w < v->windows; w++) {
        times[w] = 1;
        for (size_t i = 0; i < v->window[w].predictions; i++, n++)
            r[n] = (struct ranked){.kld = v->kld[n], .window = (uint32_t)w};
    }
    qsort(r, n, sizeof *r, by_kld);
    quantiles(r, n, times, (double)n, value);
    if (v->windows > 1)
        bootstrap(v, r, times, sample);
    for (size_t q = 0; q < QUANTILES; q++)
        *out[q] = (struct estimate){
            value[q], v->windows > 1 ? deviation(&sample[0][q], QUANTILES, SAMPLES) : NAN};
    rc = 0;
out:
    free(r);
    free(times);
    free(sample);
    return rc;
}

static double logprob(const struct window_sums *w)
{
    return -w->nll;
}
static double exact(const struct window_sums *w)
{
    return w->missed == 0;
}

/* Each window counts once. */
static struct estimate mean_of_windows(const struct eval *v, sum_fn *f)
{
    const double W = (double)v->windows;
    struct estimate m = {0, NAN};
    double square = 0;

    for (size_t i = 0; i < v->windows; i++)
        m.value += f(&v->window[i]) / W;
    for (size_t i = 0; i < v->windows; i++)
        square += (f(&v->window[i]) - m.value) * (f(&v->window[i]) - m.value);
    if (v->windows > 1)
        m.se = sqrt(square / (W - 1) / W);
    return m;
}

int eval_report(const struct eval *v, struct eval_report *r, struct err *e)
{
    *r = (struct eval_report){.windows = v->windows,
                              .tokens = v->tokens,
                              .predictions = v->predictions,
                              .stopped = v->stopped,
                              .answers = v->answers,
                              .has_ref = v->kld != NULL};
    if (v->predictions == 0)
        return err_set(e, ERR_DATA, "no window has two tokens: there is nothing to predict");
    r->nll = mean_of(v, sum_nll);
    r->perplexity = perplexity_of(r->nll);
    if (r->answers) {
        r->exact = mean_of_windows(v, exact);
        r->logprob = mean_of_windows(v, logprob);
    }
    if (!r->has_ref)
        return 0;
    r->ref_nll = mean_of(v, sum_ref);
    r->ref_perplexity = perplexity_of(r->ref_nll);
    r->dnll = mean_of(v, sum_dnll);
    r->kld_mean = mean_of(v, sum_kld);
    r->top1 = mean_of(v, sum_agree);
    return kld_quantiles(v, (struct estimate *const[]){&r->kld_median, &r->kld_p99, &r->kld_max},
                         e);
}

static int set_estimate(struct json *j, const char *name, const char *se_name, struct estimate v)
{
    return json_set_real(j, name, v.value) != 0 || json_set_real(j, se_name, v.se) != 0 ? -1 : 0;
}

struct json *eval_report_json(const struct eval_report *r, struct err *e)
{
    struct json *j = json_new_object();

    if (!j || set_estimate(j, "perplexity", "perplexity_se", r->perplexity) ||
        set_estimate(j, "nll", "nll_se", r->nll) || json_set_int(j, "tokens", (int64_t)r->tokens) ||
        json_set_int(j, "predictions", (int64_t)r->predictions) ||
        json_set_int(j, "windows", (int64_t)r->windows) ||
        json_set(j, "complete", json_new_bool(!r->stopped)))
        goto fail;
    if (r->answers && (set_estimate(j, "exact_match", "exact_match_se", r->exact) ||
                       set_estimate(j, "answer_logprob", "answer_logprob_se", r->logprob)))
        goto fail;
    if (r->has_ref && (set_estimate(j, "ref_perplexity", "ref_perplexity_se", r->ref_perplexity) ||
                       set_estimate(j, "ref_nll", "ref_nll_se", r->ref_nll) ||
                       set_estimate(j, "dnll", "dnll_se", r->dnll) ||
                       set_estimate(j, "kld_mean", "kld_mean_se", r->kld_mean) ||
                       set_estimate(j, "kld_median", "kld_median_se", r->kld_median) ||
                       set_estimate(j, "kld_p99", "kld_p99_se", r->kld_p99) ||
                       set_estimate(j, "kld_max", "kld_max_se", r->kld_max) ||
                       set_estimate(j, "top1_agree", "top1_agree_se", r->top1)))
        goto fail;
    return j;
fail:
    json_destroy(&j);
    err_set(e, ERR_SYS, "out of memory for the report");
    return NULL;
}

struct json *eval_window_klds(const struct eval *v)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < v->windows && list; i++) {
        const struct window_sums *w = &v->window[i];

        if (json_push(list, json_new_real(w->kld / (double)w->predictions)) < 0)
            json_destroy(&list);
    }
    return list;
}
