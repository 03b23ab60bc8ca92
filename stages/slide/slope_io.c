/* SPDX-License-Identifier: Apache-2.0 */
/* slope_io - see slope_io.h. */
#include "slope_io.h"

#include "../../common/base/mem.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/pump.h"
#include "slope.h"
#include "slope_opts.h"

struct ends {
    struct run_id run;
    struct link *in, *out;
    struct slope *core;
};

static int take(void *ctx, struct msg **m, struct err *e)
{
    struct ends *l = ctx;
    struct msg *sum = NULL;
    int rc = slope_take(l->core, *m, &sum, e);

    if (rc < 0)
        return e->kind == ERR_USE ? PUMP_REFUSED : -1;
    status_alive();
    rc = link_send(l->out, &sum, e);
    msg_destroy(&sum);
    return rc;
}

static const struct pump_take takes[] = {{LINK_KIND(MSG_PROBLEM), take}, {0, NULL}};

static int links_open(struct ends *l, const struct stage *s, struct err *e)
{
    l->in = link_open(s->in, LINK_IN,
                      &(struct link_opts){.name = "slope",
                                          .takes = pump_kinds(takes),
                                          .run_id = &l->run,
                                          .credit_messages = 2,
                                          .insecure = s->insecure,
                                          .keys = s->keys},
                      e);
    if (!l->in)
        return -1;
    l->out = link_open(s->out, LINK_OUT,
                       &(struct link_opts){.name = "slope",
                                           .sends = LINK_KIND(MSG_PARTIAL),
                                           .run_id = &l->run,
                                           .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW,
                                           .insecure = s->insecure,
                                           .keys = s->keys},
                       e);
    return l->out ? 0 : -1;
}

int slope_io_run(struct stage *s, struct err *e)
{
    const struct slope_command *c = s->own;
    struct ends l = {.run = RUN_ID_INIT};
    struct par *par = par_open((size_t)s->threads, e);
    int rc = -1;

    mem_keep_freed(); /* each part takes what the one before it has freed */
    l.core = par ? slope_open(c->model, par, e) : NULL;
    if (l.core && blas_room((size_t)s->threads, 0, e) == 0 && links_open(&l, s, e) == 0) {
        struct pump p = {
            .ctx = &l, .in = {{.link = l.in, .take = takes}}, .out = {l.out}, .stop_is_fine = 1};

        if ((rc = pump_join(&p, e)) > 0)
            rc = pump_run(&p, e);
        rc = pump_end(&p, rc, e);
    }
    if (rc < 0)
        stage_fail(s, e);
    link_close(&l.in);
    link_close(&l.out);
    slope_close(&l.core);
    par_close(&par);
    return rc;
}
