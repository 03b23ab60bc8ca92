/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-generate - a model writes text, for calibration or to look at it. The core is generate.c. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/base/clock.h"
#include "../../common/base/fs.h"
#include "../../common/base/log.h"
#include "../../common/base/plural.h"
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "generate_opts.h"
#include "generate_text.h"

struct output {
    const struct script *script;
    const struct generate_command *a;
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

static int write_text(const struct stage *stage, struct model *m, struct par *par, struct script *s,
                      struct err *e)
{
    const struct generate_command *a = stage->own;
    const struct generate_opts g = {.count = a->count ? (size_t)a->count : s->count,
                                    .tokens = (size_t)a->tokens,
                                    .slots = (size_t)a->batch,
                                    .seed = (uint64_t)a->seed,
                                    .mem = stage->mem,
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
    log_info(
        "%zu sequence%s, %zu new token%s, %zu ended by themselves, %zu by the model's context; "
        "%.1f tokens a second",
        g.count, plural_s(g.count), stats.tokens, plural_s(stats.tokens), stats.stopped, stats.cut,
        (double)stats.tokens / seconds);
    if (stats.held < stats.blocks)
        log_warn(
            "the weights of %zu of %zu blocks did not fit into --mem and were read for each token",
            stats.blocks - stats.held, stats.blocks);
    return 0;
}

static int generate(const struct stage *stage, struct par *par, struct err *e)
{
    const struct generate_command *a = stage->own;
    struct model *m = model_open(a->model, par, e);
    struct script s = {0};
    int rc = -1;

    if (!m || script_open(&s, a->model, model_config(m), e) < 0)
        goto out;
    if (model_config(m)->own_head)
        log_warn(MODEL_OWN_HEAD, a->model);
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
    rc = write_text(stage, m, par, &s, e);
out:
    script_close(&s);
    model_close(&m);
    return rc;
}

static int run(struct stage *s, struct err *e)
{
    struct par *par = par_open((size_t)s->threads, e);
    int rc = par && blas_room((size_t)s->threads, 0, e) == 0 ? generate(s, par, e) : -1;

    par_close(&par);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&generate_spec, run, argc, argv);
}
