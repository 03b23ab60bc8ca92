/* SPDX-License-Identifier: Apache-2.0 */
/* importance_io - see importance_io.h. */
#include "importance_io.h"

#include <math.h>
#include <stdio.h>
#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/plural.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/wire/pump.h"
#include "importance_opts.h"

#define CHUNKS_CREDIT 1024 /* token ids are small, pixels are not: then one chunk at a time */
#define CHUNKS_BYTES ((size_t)1 << 20)

struct ends {
    struct link *in, *out;
    struct importance *core;
    struct importance_io io;
    size_t receivers;
    int leased;
};

/* A lane is the share of one worker. */
static int emit(void *ctx, uint64_t lane, struct msg **m, struct err *e)
{
    struct ends *l = ctx;

    return link_send_to(l->out, (size_t)(lane % l->receivers), m, e);
}

static void progress(void *ctx, size_t done, size_t all)
{
    (void)ctx;
    if (status_due())
        status_update("gradients", -1, NULL, done, all, "steps");
}

static int take_chunk(void *ctx, struct msg **m, struct err *e)
{
    struct ends *l = ctx;

    if (importance_add(l->core, m, e) < 0)
        return e->kind == ERR_USE ? PUMP_REFUSED : -1;
    return importance_full(l->core) ? importance_work(l->core, &l->io, e) : 0;
}

static void say(const struct importance *f, const struct importance_command *c)
{
    struct importance_tally t;
    char loss[48] = "";

    importance_tally(f, &t);
    if (!isnan(t.loss) && c->core.method != IMPORTANCE_VLMQ)
        snprintf(loss, sizeof loss, ", mean loss %.6g", t.loss);
    log_info("%zu chunk%s, %llu tokens, %zu sequence%s%s", t.chunks, plural_s(t.chunks),
             (unsigned long long)t.tokens, t.sequences, plural_s(t.sequences), loss);
    if (t.silent)
        log_warn("%zu of %zu sequences have no token to predict: their tokens count alike%s",
                 t.silent, t.sequences,
                 c->core.loss == IMPORTANCE_ANSWERS ? " (--loss-on all asks of prompts too)" : "");
    if (t.uniform && c->core.method != IMPORTANCE_MBQ)
        log_detail("%llu time%s a sequence at a site had nothing to tell its tokens apart: they "
                   "count alike there",
                   (unsigned long long)t.uniform, plural_s(t.uniform));
}

/* All chunks have come. To who starts another should this one be lost while it measures. */
static void say_lanes(const struct importance *f)
{
    char text[200];

    if (importance_lanes(f, text, sizeof text) == 0)
        status_lanes(text);
}

static int serve(struct ends *l, const struct importance_command *c, struct err *e)
{
    static const struct pump_take takes[] = {{LINK_KIND(MSG_CHUNK), take_chunk}, {0, NULL}};
    struct pump p = {.ctx = l, .in = {{.link = l->in, .take = takes}}, .out = {l->out}};
    const int peers = link_peers(l->out, 0, e);
    int rc = -1;

    l->receivers = peers > 0 ? (size_t)peers : 1;
    if (peers > 0)
        rc = pump_run(&p, e);
    if (rc > 0 && l->leased)
        say_lanes(l->core);
    if (rc > 0 && importance_end(l->core, &l->io, e) < 0)
        rc = -1;
    if (rc > 0)
        say(l->core, c);
    rc = pump_end(&p, rc, e);
    if (rc == 0 && l->leased)
        status_lanes("");
    return rc;
}

static int links_open(struct ends *l, const struct stage *s, struct err *e)
{
    const struct importance_command *c = s->own;

    l->in = link_open(s->in, LINK_IN,
                      &(struct link_opts){.name = "importance",
                                          .takes = LINK_KIND(MSG_CHUNK),
                                          .credit_messages = CHUNKS_CREDIT,
                                          .credit_bytes = CHUNKS_BYTES,
                                          .lease = &c->lease,
                                          .keys = s->keys,
                                          .insecure = s->insecure},
                      e);
    if (!l->in)
        return -1;
    l->out = link_open(s->out, LINK_OUT,
                       &(struct link_opts){.name = "importance",
                                           .sends = LINK_KIND(MSG_CHUNK),
                                           .peers = (size_t)c->peers,
                                           .lease = &c->lease,
                                           .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW,
                                           .keys = s->keys,
                                           .insecure = s->insecure},
                       e);
    return l->out ? 0 : -1;
}

int importance_io_run(struct stage *s, struct err *e)
{
    const struct importance_command *c = s->own;
    struct ends l = {.leased = c->lease.place[0] != '\0',
                     .io = {.ctx = &l, .emit = emit, .progress = progress}};
    struct par *par = par_open((size_t)s->threads, e);
    const struct model_use use = {.act_bits = ACT_BITS_SAID,
                                  .products = c->core.products,
                                  .learns = c->core.method == IMPORTANCE_VLMQ}; /* it rounds */
    struct model *model = par ? model_open_for(c->model, &use, par, e) : NULL;
    int rc = -1;

    if (model && model_config(model)->vision)
        mem_return_freed(MEM_BLOCK); /* pixels of one chunk after the other */
    l.core = model ? importance_open(model, par, &c->core, e) : NULL;
    if (l.core && links_open(&l, s, e) == 0)
        rc = serve(&l, c, e);
    if (rc < 0)
        stage_fail(s, e);
    link_close(&l.in);
    link_close(&l.out);
    importance_close(&l.core);
    model_close(&model);
    par_close(&par);
    return rc;
}
