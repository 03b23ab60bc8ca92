/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-eval - perplexity and distance from a reference. The core is eval.c. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../common/base/log.h"
#include "../../common/base/opt.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "eval.h"
#include "eval_states.h"

struct eval_main_opts {
    const char *model, *data, *ref, *ref_states, *logits;
    int64_t window, max_windows, threads, status_fd;
    uint64_t mem;
    int json, quiet, verbose;
};

#define AT(field) offsetof(struct eval_main_opts, field)
static const struct opt table[] = {
    {"model", OPT_TEXT, AT(model), "DIR", "checkpoint to measure, dense or GPTQ", 0, 0, NULL},
    {"data", OPT_TEXT, AT(data), "FILE", ".txt, or .jsonl with {\"text\"} or {\"input_ids\"}", 0, 0,
     NULL},
    {"ref", OPT_TEXT, AT(ref), "DIR",
     "checkpoint to compare with: KL divergence, top-1 agreement, increase of NLL", 0, 0, NULL},
    {"ref-states", OPT_TEXT, AT(ref_states), "FILE",
     "keep the reference's last hidden states there, or read them when they are there: a second "
     "model is compared in half the time",
     0, 0, NULL},
    {"window", OPT_INT, AT(window), "N",
     "tokens of a window of text (0: 2048, or the model's context if that is less)", 0, 1 << 24,
     NULL},
    {"max-windows", OPT_INT, AT(max_windows), "N", "stop after N windows (0: all)", 0, 1 << 30,
     NULL},
    {"json", OPT_FLAG, AT(json), NULL, "one JSON object on stdout instead of a table", 0, 0, NULL},
    {"logits", OPT_TEXT, AT(logits), "FILE",
     "keep the logits: a safetensors file with logits.i [tokens, vocabulary] of window i", 0, 0,
     NULL},
    {"mem", OPT_SIZE, AT(mem), "BYTES",
     "for the hidden states of windows that go through a block together", 0, 0, NULL},
    {"threads", OPT_INT, AT(threads), "N", "threads; never changes the result", 1, 1024, NULL},
    {"status-fd", OPT_INT, AT(status_fd), "FD", "descriptor for status lines (-1: none)", -1,
     1 << 20, NULL},
    {"quiet", OPT_FLAG, AT(quiet), NULL, "warnings and errors only", 0, 0, NULL},
    {"verbose", OPT_FLAG, AT(verbose), NULL, "more lines", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static const struct opt_spec spec = {
    "ptq-eval",
    "perplexity of a checkpoint, and its distance from a reference",
    "--model DIR --data FILE [options]",
    table,
    "Text is tokenized without special tokens, joined and cut into windows that do not overlap.\n"
    "Rows of input_ids are windows as they are, and need no tokenizer.\n"
    "Environment: OPENBLAS_CORETYPE, the kernels of OpenBLAS; chosen from the CPU when it is not "
    "set.",
    0,
    0,
};

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
        return fflush(stdout) ? err_sys(e, "cannot write to stdout") : 0;
    }
    printf("%zu windows, %zu tokens, %zu predictions\n", r->windows, r->tokens, r->predictions);
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
    return fflush(stdout) ? err_sys(e, "cannot write to stdout") : 0;
}

static size_t window_of(const struct eval_main_opts *a, const struct model *m)
{
    const size_t context = model_config(m)->context;

    if (a->window)
        return (size_t)a->window;
    return context < 2048 ? context : 2048;
}

static int measure(const struct eval_main_opts *a, struct par *par, struct err *e)
{
    struct eval_opts o = {.mem = a->mem, .logits = a->logits};
    struct model *m = model_open(a->model, par, e), *ref = NULL;
    struct windows w = {0};
    struct eval v = {0};
    struct eval_report r;
    int rc = -1;

    if (!m || (a->ref && !(ref = model_open(a->ref, par, e))) ||
        windows_read(a->data, a->model, window_of(a, m), (size_t)a->max_windows, &w, e) < 0)
        goto out;
    log_detail("%zu windows, %zu tokens, %s", w.count, w.tokens, blas_kernel());
    for (size_t i = 0; i < w.count; i++)
        if (w.start[i + 1] - w.start[i] > model_config(m)->context) {
            log_warn("window %zu has %zu tokens, the model's context is %zu", i,
                     w.start[i + 1] - w.start[i], model_config(m)->context);
            break;
        }
    if (a->ref_states && !(o.states = states_open(a->ref_states, a->ref, ref, &w, e)))
        goto out;
    if (states_kept(o.states))
        log_detail("the reference's hidden states are those of %s", a->ref_states);
    if (eval_run(m, ref, par, &w, &o, &v, e) < 0 || eval_report(&v, &r, e) < 0)
        goto out;
    status_end();
    rc = print_report(&r, a->json, e);
out:
    states_close(&o.states);
    eval_release(&v);
    windows_release(&w);
    model_close(&ref);
    model_close(&m);
    return rc;
}

int main(int argc, char **argv)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct eval_main_opts a = {
        .threads = cores > 0 ? cores : 1, .status_fd = -1, .mem = UINT64_C(1) << 29};
    struct par *par = NULL;
    struct err e = {0};
    int rc;

    log_init("eval", LOG_NORMAL);
    if (blas_start(argv, &e) < 0)
        goto out;
    rc = opt_parse(&spec, &a, NULL, argc, argv, &e);
    if (rc != 0) {
        if (rc > 0)
            return 0;
        goto out;
    }
    log_init("eval", a.verbose ? LOG_VERBOSE : a.quiet ? LOG_QUIET : LOG_NORMAL);
    if (!a.model || !a.data) {
        err_set(&e, ERR_USE, "--%s is needed", a.model ? "data" : "model");
        goto out;
    }
    if (a.ref_states && !a.ref) {
        err_set(&e, ERR_USE, "--ref-states needs --ref");
        goto out;
    }
    status_init("eval", (int)a.status_fd);
    if (sig_init(&e) == 0 && (par = par_open((size_t)a.threads, &e)) != NULL)
        (void)measure(&a, par, &e);
out:
    status_end();
    par_close(&par);
    if (e.kind != ERR_NONE)
        log_fatal(&e);
    return err_exit(&e);
}
