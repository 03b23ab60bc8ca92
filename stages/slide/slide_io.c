/* SPDX-License-Identifier: Apache-2.0 */
/* slide_io - see slide_io.h. */
#include "slide_io.h"

#include <stdio.h>
#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/pause.h"
#include "../../common/base/plural.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/pump.h"
#include "slide_opts.h"

#define CHUNKS_CREDIT 1024 /* token ids are small */
#define SUMS_CREDIT 16
#define WAIT_MS 500

struct ends {
    struct link *in, *out;
    struct link *jobs, *gradients; /* NULL: all is worked on here */
    struct slide *core;
    uint64_t from; /* the first site that is sent */
};

static int emit(void *ctx, struct msg **m, struct err *e)
{
    struct ends *l = ctx;
    int64_t order = 0;

    log_detail("%s is settled", (*m)->id);
    json_as_int(json_get((*m)->meta, "order"), &order);
    return (uint64_t)order < l->from ? 0 : link_send(l->out, m, e);
}

/* A part of a step to whoever has credit; one that is lost leaves it to another. */
static int ask(void *ctx, struct msg **job, struct err *e)
{
    return link_send(((struct ends *)ctx)->jobs, job, e);
}

static int answer(void *ctx, struct msg **sum, struct err *e)
{
    struct ends *l = ctx;
    int got = 2;

    while (got == 2) {
        if (sig_draining())
            return err_set(e, ERR_SYS, "asked to stop");
        if (link_check(l->jobs, e) < 0 || link_check(l->out, e) < 0)
            return -1;
        got = link_recv(l->gradients, sum, WAIT_MS, e);
        status_alive();
    }
    if (got == 0)
        return err_set(e, ERR_DATA, "who works on parts of steps has ended before the last one");
    return got < 0 ? -1 : link_done(l->jobs, (*sum)->id, e);
}

static void progress(void *ctx, const struct slide_progress *p)
{
    char note[96];

    (void)ctx;
    pause_wait();
    status_alive();
    if (!status_due())
        return;
    snprintf(note, sizeof note, "window %zu of %zu, step %zu of %zu, loss %.4g", p->window + 1,
             p->windows, p->step, p->steps, p->loss);
    status_job("learn", (double)p->done / (double)p->all, p->done, p->all, "block steps", note);
}

static void window(void *ctx, const struct slide_progress *p, const struct slide_ended *x)
{
    char how[64];

    (void)ctx;
    if (x->bad)
        log_warn("--state: %s; window %zu was learned again", x->bad, p->window + 1);
    snprintf(how, sizeof how, "in %zu step%s", p->steps, plural_s(p->steps));
    log_info("window %zu of %zu, block%s %zu to %zu: loss %.4g -> %.4g %s", p->window + 1,
             p->windows, plural_s(p->count), p->first, p->first + p->count - 1, x->before, x->after,
             x->there ? "in an earlier run" : how);
    if (x->after > x->before)
        log_warn("window %zu of %zu is worse than it was before it learned: use a smaller --lr "
                 "(--clip-lr, --alpha-lr), or fewer --epochs",
                 p->window + 1, p->windows);
}

static int take_chunk(void *ctx, struct msg **m, struct err *e)
{
    struct ends *l = ctx;

    if (slide_add(l->core, *m, e) < 0)
        return e->kind == ERR_USE ? PUMP_REFUSED : -1;
    return 0;
}

static int serve(struct ends *l, struct err *e)
{
    static const struct pump_take takes[] = {{LINK_KIND(MSG_CHUNK), take_chunk}, {0, NULL}};
    const struct slide_io io = {.ctx = l,
                                .emit = emit,
                                .ask = l->jobs ? ask : NULL,
                                .answer = l->jobs ? answer : NULL,
                                .progress = progress,
                                .window = window};
    struct pump p = {.ctx = l, .in = {{.link = l->in, .take = takes}}, .out = {l->out, l->jobs}};
    int rc = pump_run(&p, e);

    if (rc > 0 && slide_run(l->core, &io, e) < 0)
        rc = -1;
    if (l->gradients)
        link_enough(l->gradients);
    rc = pump_end(&p, rc, e);
    return rc == 0 && l->gradients && pump_drop(l->gradients, e) < 0 ? -1 : rc;
}

static int sharers_open(struct ends *l, const struct stage *s, struct err *e)
{
    const struct slide_command *c = s->own;

    l->jobs = link_open(c->jobs, LINK_OUT,
                        &(struct link_opts){.name = "slide",
                                            .sends = LINK_KIND(MSG_PROBLEM),
                                            .elastic = 1,
                                            .hold = 1,
                                            .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW,
                                            .insecure = s->insecure,
                                            .keys = s->keys},
                        e);
    if (!l->jobs)
        return -1;
    l->gradients = link_open(c->gradients, LINK_IN,
                             &(struct link_opts){.name = "slide",
                                                 .takes = LINK_KIND(MSG_PARTIAL),
                                                 .credit_messages = SUMS_CREDIT,
                                                 .elastic = 1,
                                                 .insecure = s->insecure,
                                                 .keys = s->keys},
                             e);
    return l->gradients ? 0 : -1;
}

static int links_open(struct ends *l, const struct stage *s, struct err *e)
{
    l->in = link_open(s->in, LINK_IN,
                      &(struct link_opts){.name = "slide",
                                          .takes = LINK_KIND(MSG_CHUNK),
                                          .credit_messages = CHUNKS_CREDIT,
                                          .insecure = s->insecure,
                                          .keys = s->keys},
                      e);
    if (!l->in)
        return -1;
    l->out = link_open(s->out, LINK_OUT,
                       &(struct link_opts){.name = "slide",
                                           .sends = LINK_KIND(MSG_SOLUTION),
                                           .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW,
                                           .insecure = s->insecure,
                                           .keys = s->keys},
                       e);
    if (!l->out)
        return -1;
    return ((const struct slide_command *)s->own)->jobs ? sharers_open(l, s, e) : 0;
}

int slide_io_run(struct stage *s, struct err *e)
{
    const struct slide_command *c = s->own;
    struct ends l = {.from = c->from_site};
    struct par *par = par_open((size_t)s->threads, e);
    const struct model_use use = {.act_bits = c->core.act_bits,
                                  .qkv_bits = c->core.qkv_bits,
                                  .products = c->core.products,
                                  .learns = 1};
    struct model *model = NULL;
    int rc = -1;

    mem_keep_freed(); /* each step takes what the one before it has freed */
    model = par ? model_open_for(c->model, &use, par, e) : NULL;
    l.core = model ? slide_open(model, par, &c->core, e) : NULL;
    if (l.core && blas_room((size_t)s->threads, c->core.gptq, e) == 0 && links_open(&l, s, e) == 0)
        rc = serve(&l, e);
    if (rc < 0)
        stage_fail(s, e);
    link_close(&l.in);
    link_close(&l.out);
    link_close(&l.jobs);
    link_close(&l.gradients);
    slide_close(&l.core);
    model_close(&model);
    par_close(&par);
    return rc;
}
