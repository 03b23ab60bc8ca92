/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-generate - a model writes text, for calibration or to look at it. The core is generate.c. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/base/clock.h"
#include "../../common/base/fs.h"
#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/opt.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "generate_text.h"

struct generate_main_opts {
    const char *model, *prompts, *chat_template, *date, *out;
    int64_t count, tokens, prompt_tokens, batch, seed, top_k, threads, status_fd;
    double temperature, top_p;
    uint64_t mem;
    int start, ids, ignore_eos, quiet, verbose;
};

#define AT(field) offsetof(struct generate_main_opts, field)
static const struct opt table[] = {
    {"model", OPT_TEXT, AT(model), "DIR", "checkpoint that writes, dense or GPTQ", 0, 0, NULL},
    {"prompts", OPT_TEXT, AT(prompts), "FILE",
     ".txt with a prompt a line, or .jsonl with {\"text\"}, {\"input_ids\"} or {\"messages\"} "
     "(chats)",
     0, 0, NULL},
    {"chat-template", OPT_TEXT, AT(chat_template), "FILE",
     "Jinja template of \"messages\" instead of the model's own", 0, 0, NULL},
    {"date", OPT_TEXT, AT(date), "YYYY-MM-DD", "today's date, for chat templates that ask for it",
     0, 0, NULL},
    {"prompt-tokens", OPT_INT, AT(prompt_tokens), "N",
     "keep only the first N tokens of a prompt (0: all)", 0, 1 << 24, NULL},
    {"start", OPT_CHOICE, AT(start), "KIND",
     "without prompts: from the BOS token (random, if the model has none), or from a random token",
     0, 0, "bos|random"},
    {"count", OPT_INT, AT(count), "N",
     "sequences; prompts are used in turn (0: one for each prompt, 128 without)", 0, 1 << 24, NULL},
    {"tokens", OPT_INT, AT(tokens), "N", "new tokens of a sequence, at most", 1, 1 << 24, NULL},
    {"temperature", OPT_REAL, AT(temperature), "T", "of the draw; 0: always the likeliest token", 0,
     100, NULL},
    {"top-k", OPT_INT, AT(top_k), "K", "draw among the K likeliest tokens only (0: all)", 0,
     1 << 24, NULL},
    {"top-p", OPT_REAL, AT(top_p), "P",
     "then among the fewest that have the probability P together", 1e-6, 1, NULL},
    {"seed", OPT_INT, AT(seed), "N", "of the draws", 0, 9007199254740992.0, NULL},
    {"ignore-eos", OPT_FLAG, AT(ignore_eos), NULL, "go on behind the end-of-text token", 0, 0,
     NULL},
    {"ids", OPT_FLAG, AT(ids), NULL, "write {\"input_ids\"} instead of {\"text\"}", 0, 0, NULL},
    {"out", OPT_TEXT, AT(out), "FILE", "where the lines go, whole or not at all; - is stdout", 0, 0,
     NULL},
    {"batch", OPT_INT, AT(batch), "N",
     "sequences under way at a time; may change the last bits of a product, hence a text", 1, 1024,
     NULL},
    {"mem", OPT_SIZE, AT(mem), "BYTES",
     "for weights of blocks as f32; those of further blocks are read again for each token", 0, 0,
     NULL},
    {"threads", OPT_INT, AT(threads), "N", "threads; never changes the result", 1, 1024, NULL},
    {"status-fd", OPT_INT, AT(status_fd), "FD", "descriptor for status lines (-1: none)", -1,
     1 << 20, NULL},
    {"quiet", OPT_FLAG, AT(quiet), NULL, "warnings and errors only", 0, 0, NULL},
    {"verbose", OPT_FLAG, AT(verbose), NULL, "more lines", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static const struct opt_spec spec = {
    "ptq-generate",
    "lets a model write text, one JSON line a sequence: calibration data for ptq-sample",
    "--model DIR [options]",
    table,
    "Environment: OPENBLAS_CORETYPE, the kernels of OpenBLAS; chosen from the CPU when it is not "
    "set.",
    0,
    0,
};

struct output {
    const struct script *script;
    const struct generate_main_opts *a;
    char *text; /* of --out FILE */
    size_t length, cap, total;
};

static int take(void *ctx, size_t i, const int32_t *ids, size_t prompt, size_t count, struct err *e)
{
    struct output *o = ctx;
    char *line = script_line(o->script, o->a->ids, ids, count, e);
    size_t n = line ? strlen(line) : 0;
    int rc = -1;

    if (!line)
        return err_prefix(e, "sequence %zu", i);
    log_detail("sequence %zu: %zu tokens behind %zu", i, count - prompt, prompt);
    if (strcmp(o->a->out, "-") == 0) {
        rc = fs_write_all(STDOUT_FILENO, line, n, "stdout", e);
    } else if (mem_grow((void **)&o->text, &o->cap, o->length + n, 1, e) == 0) {
        memcpy(o->text + o->length, line, n);
        o->length += n;
        rc = 0;
    }
    free(line);
    return rc;
}

static int progress(void *ctx, size_t tokens, size_t done)
{
    const struct output *o = ctx;

    status_tokens(tokens);
    status_update("generate", -1, NULL, done, o->total, "sequences");
    return sig_draining();
}

static int write_text(const struct generate_main_opts *a, struct model *m, struct par *par,
                      struct script *s, struct err *e)
{
    const struct generate_opts g = {.count = a->count ? (size_t)a->count : s->count,
                                    .tokens = (size_t)a->tokens,
                                    .slots = (size_t)a->batch,
                                    .seed = (uint64_t)a->seed,
                                    .mem = a->mem,
                                    .pick = {a->temperature, a->top_p, a->top_k},
                                    .vocab = s->tokenizer ? tokenizer_vocab(s->tokenizer) : 0,
                                    .stops = s->stops,
                                    .nstops = a->ignore_eos ? 0 : s->nstops};
    struct output o = {.script = s, .a = a, .total = g.count};
    const struct generate_io io = {&o, take, progress};
    struct generate_stats stats;
    double start = clock_wall(), seconds;
    int rc = generate_run(m, par, s->prompts, s->count, &g, &io, &stats, e);

    status_end();
    if (rc == 1)
        rc = err_set(e, ERR_DATA, "told to stop before all sequences were written");
    if (rc == 0 && strcmp(a->out, "-") != 0)
        rc = fs_publish(a->out, o.text, o.length, e);
    free(o.text);
    if (rc != 0)
        return -1;
    seconds = clock_wall() - start;
    log_info("%zu sequences, %zu new tokens, %zu ended by themselves, %zu by the model's context; "
             "%.1f tokens a second",
             g.count, stats.tokens, stats.stopped, stats.cut, (double)stats.tokens / seconds);
    if (stats.held < stats.blocks)
        log_warn(
            "the weights of %zu of %zu blocks did not fit into --mem and were read for each token",
            stats.blocks - stats.held, stats.blocks);
    return 0;
}

/* Before hours of work, not after them. */
static int check_out(const char *out, struct err *e)
{
    const char *slash = strrchr(out, '/');
    char *dir = mem_text(slash ? out : ".", e);
    int rc = 0;

    if (!dir)
        return -1;
    if (slash)
        dir[slash == out ? 1 : slash - out] = '\0';
    if (fs_is_dir(out))
        rc = err_set(e, ERR_USE, "--out '%s' is a folder: name a file", out);
    else if (access(dir, W_OK) != 0)
        rc = err_set(e, ERR_USE, "--out '%s': no folder '%s' that can be written to", out, dir);
    free(dir);
    return rc;
}

static int run(const struct generate_main_opts *a, struct par *par, struct err *e)
{
    struct model *m = model_open(a->model, par, e);
    struct script s = {0};
    int rc = -1;

    if (!m || script_open(&s, a->model, model_config(m), e) < 0)
        goto out;
    if (!a->ids && !s.tokenizer) {
        err_set(e, ERR_USE, "'%s' has no tokenizer.json: say --ids", a->model);
        goto out;
    }
    s.chat_template = a->chat_template;
    s.date = a->date;
    if (a->prompts ? script_read(&s, a->prompts, (size_t)a->prompt_tokens, e)
                   : script_start(&s, model_config(m), a->start, a->count ? (size_t)a->count : 128,
                                  (uint64_t)a->seed, e))
        goto out;
    rc = write_text(a, m, par, &s, e);
out:
    script_close(&s);
    model_close(&m);
    return rc;
}

int main(int argc, char **argv)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct generate_main_opts a = {.out = "-",
                                   .tokens = 512,
                                   .batch = 16,
                                   .temperature = 1,
                                   .top_p = 1,
                                   .seed = 1,
                                   .mem = (uint64_t)4 << 30,
                                   .threads = cores > 0 ? cores : 1,
                                   .status_fd = -1};
    struct par *par = NULL;
    struct err e = {0};
    int rc;

    log_init("generate", LOG_NORMAL);
    if (blas_start(argv, &e) < 0)
        goto out;
    rc = opt_parse(&spec, &a, NULL, argc, argv, &e);
    if (rc != 0) {
        if (rc > 0)
            return 0;
        goto out;
    }
    log_init("generate", a.verbose ? LOG_VERBOSE : a.quiet ? LOG_QUIET : LOG_NORMAL);
    if (!a.model)
        err_set(&e, ERR_USE, "--model is needed");
    if (!a.model || (strcmp(a.out, "-") != 0 && check_out(a.out, &e) < 0))
        goto out;
    status_init("generate", (int)a.status_fd);
    if (sig_init(&e) == 0 && (par = par_open((size_t)a.threads, &e)) != NULL)
        (void)run(&a, par, &e);
out:
    status_end();
    par_close(&par);
    if (e.kind != ERR_NONE)
        log_fatal(&e);
    return err_exit(&e);
}
