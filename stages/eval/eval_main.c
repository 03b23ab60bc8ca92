/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-eval - perplexity and distance from a reference. The core is eval.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../common/base/fs.h"
#include "../../common/base/log.h"
#include "../../common/run/evals.h"
#include "../../common/base/status.h"
#include "../../common/base/plural.h"
#include "../../common/tensor/blas.h"
#include "eval.h"
#include "eval_answers.h"
#include "eval_opts.h"
#include "eval_states.h"

static void print_line(const char *name, struct estimate v)
{
    if (isnan(v.se))
        printf("%-22s %12.6g\n", name, v.value);
    else
        printf("%-22s %12.6g +- %.3g\n", name, v.value, v.se);
}

static int print_report(const struct eval_report *r, int json, struct err *e)
{
    struct json *j;
    char *text;

    if (json) {
        j = eval_report_json(r, e);
        text = j ? json_print(j, 0, e) : NULL;
        json_destroy(&j);
        if (!text)
            return -1;
        printf("%s\n", text);
        free(text);
        return fs_flush(stdout, e);
    }
    printf("%zu window%s, %zu tokens, %zu prediction%s\n", r->windows, plural_s(r->windows),
           r->tokens, r->predictions, plural_s(r->predictions));
    if (r->answers) {
        print_line("exact match", r->exact);
        print_line("log-likelihood", r->logprob);
    }
    print_line("perplexity", r->perplexity);
    print_line("nll", r->nll);
    if (r->has_ref) {
        print_line("reference perplexity", r->ref_perplexity);
        print_line("nll - reference", r->dnll);
        print_line("KL divergence, mean", r->kld_mean);
        print_line("KL divergence, median", r->kld_median);
        print_line("KL divergence, 99%", r->kld_p99);
        print_line("KL divergence, max", r->kld_max);
        print_line("top-1 agreement", r->top1);
    }
    return fs_flush(stdout, e);
}

static size_t window_of(const struct eval_command *a, const struct model *m)
{
    const size_t context = model_config(m)->context;

    if (a->window)
        return (size_t)a->window;
    return context < 2048 ? context : 2048;
}

/* What is strange about the models or the data, before the work. */
static void warn(const struct eval_command *a, const struct model *m, const struct model *ref,
                 const struct windows *w)
{
    if (w->read.refused)
        log_warn("%s: %llu chat%s refused by the template, the first: %s", a->data,
                 (unsigned long long)w->read.refused, w->read.refused == 1 ? "" : "s",
                 w->read.first_refused);
    if (w->read.skipped)
        log_warn("%s: %llu line%s skipped, the first: %s", a->data,
                 (unsigned long long)w->read.skipped, w->read.skipped == 1 ? "" : "s",
                 w->read.first);
    if (a->products)
        log_detail("linears multiplied in %s", products_name(a->products));
    if (model_config(m)->act_bits)
        log_detail("activations of %d bits", model_config(m)->act_bits);
    if (model_config(m)->own_head)
        log_warn(MODEL_OWN_HEAD, a->model);
    if (ref && model_config(ref)->own_head)
        log_warn(MODEL_OWN_HEAD, a->ref);
    log_detail("%zu window%s, %zu tokens, %s", w->count, plural_s(w->count), w->tokens,
               blas_kernel());
    for (size_t i = 0; i < w->count; i++)
        if (w->start[i + 1] - w->start[i] > model_config(m)->context) {
            log_warn("window %zu has %zu tokens, the model's context is %zu", i,
                     w->start[i + 1] - w->start[i], model_config(m)->context);
            break;
        }
}

static int keep(const struct eval_command *a, size_t window, const struct eval *v,
                const struct eval_report *r, struct err *e)
{
    struct json *j = eval_report_json(r, e);

    if (!j)
        return -1;
    if (json_set_text(j, "record", "eval") || json_set_text(j, "data", a->data) ||
        (a->ref && json_set_text(j, "ref", a->ref)) || json_set_int(j, "window", (int64_t)window) ||
        json_set_int(j, "max_windows", a->max_windows) ||
        json_set_text(j, "products", products_name(a->products)) ||
        (a->ref && json_set(j, "kld_windows", eval_window_klds(v))))
        json_destroy(&j);
    return evals_add(a->model, &j, e);
}

/* Of a run that a signal stopped: what is known so far, and that it is not all. */
static int conclude(const struct eval_command *a, const struct windows *w, size_t window,
                    const struct eval *v, struct err *e)
{
    struct eval_report r;

    if (v->windows || !v->stopped) {
        if (eval_report(v, &r, e) < 0 || print_report(&r, a->json, e) < 0)
            return -1;
    }
    if (v->stopped)
        return err_set(e, ERR_SYS, "stopped by a signal with %zu of %zu windows done%s", v->windows,
                       w->count, v->windows ? ": the figures are of those" : "");
    return a->keep ? keep(a, window, v, &r, e) : 0;
}

static int read_data(const struct eval_command *a, struct windows_opts o, const struct model *m,
                     struct windows *w, struct err *e)
{
    o.length = window_of(a, m);
    return a->answers ? answers_read(&o, w, e) : windows_read(&o, w, e);
}

static int measure(const struct eval_command *a, uint64_t mem, struct par *par, struct err *e)
{
    struct eval_opts o = {.mem = mem, .logits = a->logits};
    const struct model_use use = {.act_bits = (int)a->act_bits,
                                  .qkv_bits = (int)a->qkv_bits,
                                  .products = a->products},
                           plain = {.act_bits = ACT_BITS_SAID, .products = a->products};
    struct model *m = model_open_for(a->model, &use, par, e), *ref = NULL;
    struct windows w = {0};
    struct eval v = {0};
    int rc = -1;

    const struct windows_opts wo = {.data = a->data,
                                    .dir = a->model,
                                    .ref = a->ref,
                                    .chat_template = a->chat_template,
                                    .date = a->date,
                                    .max = (size_t)a->max_windows,
                                    .docs = a->docs};

    if (!m || (a->ref && !(ref = model_open_for(a->ref, &plain, par, e))) ||
        read_data(a, wo, m, &w, e) < 0)
        goto out;
    warn(a, m, ref, &w);
    if (a->ref_states && !(o.states = states_open(a->ref_states, a->ref, ref, &w, e)))
        goto out;
    if (states_kept(o.states))
        log_detail("the reference's hidden states are those of %s", a->ref_states);
    if (eval_run(m, ref, par, &w, &o, &v, e) < 0)
        goto out;
    status_end();
    rc = conclude(a, &w, window_of(a, m), &v, e);
out:
    states_close(&o.states);
    eval_release(&v);
    windows_release(&w);
    model_close(&ref);
    model_close(&m);
    return rc;
}

static int run(struct stage *s, struct err *e)
{
    struct par *par = par_open((size_t)s->threads, e);
    int rc = par && blas_room((size_t)s->threads, 0, e) == 0 ? measure(s->own, s->mem, par, e) : -1;

    par_close(&par);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&eval_spec, run, argc, argv);
}
