/* SPDX-License-Identifier: Apache-2.0 */
/* write_io - see write_io.h. */
#include "write_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/bytes.h"
#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/status.h"
#include "../../common/model/model.h"
#include "../../common/wire/pump.h"
#include "../../common/wire/share.h"
#include "write_opts.h"

#define WORST 10
#define WATCH_MS 1000

struct write_io {
    struct writer *core;
    struct run_id run;                /* of both links */
    struct link *solutions, *commits; /* commits: NULL when forward stages follow the folder */
    size_t *order; /* of the commits that were sent, by their number on the link */
    int came;      /* somebody who takes commits has been here */
};

/* A commit that was sent, for peers that come late. */
static int replay(void *ctx, uint64_t i, struct msg **m, struct err *e)
{
    const struct write_io *io = ctx;

    return write_commit(io->core, io->order[i], m, e);
}

/* Solvers come and go, but once those who take commits have all gone nobody will send the rest. */
static int check_abandoned(void *ctx, struct err *e)
{
    struct write_io *io = ctx;
    struct link_stats solvers, takers = {0};

    if (!io->commits)
        return 0;
    link_stats(io->solutions, &solvers);
    link_stats(io->commits, &takers);
    io->came = io->came || takers.peers;
    if (!io->came || takers.peers || solvers.peers)
        return 0;
    return err_set(e, ERR_DATA,
                   "incomplete: neither a solver nor anyone who takes commits is left");
}

/* Sockets: the data say when all is there. A pipe or file has an end mark, which must come too. */
static int is_done(void *ctx)
{
    const struct write_io *io = ctx;
    const struct plan *p = write_plan(io->core);

    return link_is_socket(io->solutions) && p->done == p->sites;
}

/* On its way before it is durable. */
static int send_commit(void *ctx, struct msg **m, struct err *e)
{
    struct write_io *io = ctx;
    int64_t order = -1;

    json_as_int(json_get((*m)->meta, "order"), &order);
    io->order[write_plan(io->core)->done - 1] = (size_t)order;
    for (size_t i = 0; i < (*m)->ntensors; i++)
        share_move(&(*m)->tensors[i]); /* several are to read it */
    return link_send(io->commits, m, e);
}

/* Solutions become commits; each site counts once. */
static int take_solution(void *ctx, struct msg **m, struct err *e)
{
    struct write_io *io = ctx;
    const struct plan *p = write_plan(io->core);
    char id[MSG_ID];
    int64_t order = -1;
    int rc;

    memcpy(id, (*m)->id, sizeof id);
    json_as_int(json_get((*m)->meta, "order"), &order);
    rc = write_solution(io->core, m, e);
    if (rc < 0)
        return rc == WRITE_REFUSED ? PUMP_REFUSED : -1;
    if (rc == 0) {
        log_warn("%s came twice; the first is kept", id);
        return 0;
    }
    log_detail("%s committed (%zu of %zu)", id, p->done, p->sites);
    status_update("write", (int64_t)p->site[order].block, p->site[order].site->name, p->done,
                  p->sites, "sites");
    return 0;
}

/* What an earlier run has committed stands at the head of the commits. */
static int announce(struct write_io *io, struct err *e)
{
    const struct plan *p = write_plan(io->core);

    for (size_t i = 0, n = 0; i < p->sites; i++) {
        struct msg *m = NULL;

        if (!p->site[i].done)
            continue;
        io->order[n++] = i;
        if (io->commits && write_commit(io->core, i, &m, e) == 0)
            link_send(io->commits, &m, e);
        msg_destroy(&m);
        if (e->kind)
            return -1;
    }
    return 0;
}

static const struct pump_take take[] = {{LINK_KIND(MSG_SOLUTION), take_solution}, {0, NULL}};

static void tell(const struct writer *w)
{
    const struct write_sizes *s = write_sizes(w);
    struct write_row rows[WORST];
    char a[BYTES_TEXT], b[BYTES_TEXT];
    size_t n = write_worst(w, rows, WORST);

    log_info("%5s %-9s %10s %10s %8s %9s %8s  %s", "block", "site", "rel loss", "loss", "damp",
             "tokens", "seconds", "worst linear");
    for (size_t i = 0; i < n; i++)
        log_info("%5zu %-9s %10.3e %10.3e %8.3g %9llu %8.2f  %s", rows[i].block, rows[i].site,
                 rows[i].rel_loss, rows[i].loss, rows[i].damp, (unsigned long long)rows[i].tokens,
                 rows[i].seconds, rows[i].linear ? rows[i].linear : "");
    for (size_t i = 0; i < s->formats; i++)
        log_info("%s: %.2f bits a weight, %s -> %s (%.0f%%) in %s", s->format[i].name, s->bits,
                 bytes_text((double)s->source, a), bytes_text((double)s->format[i].bytes, b),
                 s->source ? 100 * (double)s->format[i].bytes / (double)s->source : 0,
                 s->format[i].folder);
}

/* The checkpoint is written after the commits' link has ended: assembling may take longer than
 * its peers wait. Solvers that are still there end on their own, now that the reducer knows all
 * commits. That may take long on a busy machine, and a solver that is left before its end counts as
 * failed; one that is lost is no longer there. */
static int serve(struct write_io *io, struct err *e)
{
    const struct plan *p = write_plan(io->core);
    struct pump pump = {.ctx = io,
                        .in = {{.link = io->solutions, .take = take}},
                        .out = {io->commits},
                        .done = is_done,
                        .idle = link_is_socket(io->solutions) ? check_abandoned : NULL,
                        .idle_ms = WATCH_MS};
    int rc = announce(io, e);

    if (rc == 0)
        rc = pump_run(&pump, e);
    if (rc == 0)
        rc = err_set(e, ERR_SYS, "asked to stop with %zu of %zu sites", p->done, p->sites);
    if (rc > 0 && plan_missing(p, e))
        rc = -1;
    if (pump_end(&pump, rc, e) < 0)
        return -1;
    status_update(STATUS_ASSEMBLE, -1, NULL, 0, 0, NULL);
    if (write_finish(io->core, e))
        return -1;
    status_update(STATUS_PUBLISHED, -1, NULL, 0, 0, NULL);
    link_enough(io->solutions);
    if (link_is_socket(io->solutions))
        pump_drop(io->solutions, NULL);
    return 0;
}

/* What was opened is the caller's to close, also on error. */
static int open_links(struct write_io *io, const struct stage *s, struct err *e)
{
    const struct write_command *c = s->own;

    io->solutions = link_open(s->in, LINK_IN,
                              &(struct link_opts){.name = "write",
                                                  .takes = pump_kinds(take),
                                                  .reads = pump_kinds(take),
                                                  .credit_late = 1,
                                                  .run_id = &io->run,
                                                  .elastic = 1,
                                                  .lease = &c->lease,
                                                  .peers = (size_t)c->peers,
                                                  .keys = s->keys,
                                                  .insecure = s->insecure},
                              e);
    if (!io->solutions || !c->commits)
        return io->solutions ? 0 : -1;
    io->commits = link_open(c->commits, LINK_OUT,
                            &(struct link_opts){.name = "write",
                                                .sends = LINK_KIND(MSG_COMMIT),
                                                .run_id = &io->run,
                                                .route = LINK_ALL,
                                                .lease = &c->lease,
                                                .elastic = 1,
                                                .peers = (size_t)c->commit_peers,
                                                .keys = s->keys,
                                                .insecure = s->insecure},
                            e);
    if (!io->commits)
        return -1;
    link_set_replay(io->commits, replay, io);
    write_hand(io->core, send_commit, io);
    return 0;
}

/* No links: what is there is all that there will be. */
static int finish_parts(struct write_io *io, struct err *e)
{
    const char *why;
    const size_t left = write_left(io->core, &why);

    if (left)
        log_warn("%zu of %zu site%s no finished part and stay at full precision%s%s", left,
                 write_plan(io->core)->sites, left == 1 ? " has" : "s have", why ? ": " : "",
                 why ? why : "");
    status_update(STATUS_ASSEMBLE, -1, NULL, 0, 0, NULL);
    return write_finish(io->core, e);
}

int write_io_run(struct stage *s, struct err *e)
{
    const struct write_command *c = s->own;
    struct write_io io = {.core = write_open(&c->core, e), .run = RUN_ID_INIT};
    int rc = -1;

    if (!io.core)
        return -1;
    if (write_plan(io.core)->config.own_head)
        log_warn(MODEL_OWN_HEAD, c->core.model);
    io.order = mem_array(write_plan(io.core)->sites, sizeof *io.order, e);
    if (c->core.from_parts)
        rc = finish_parts(&io, e);
    else if (io.order && open_links(&io, s, e) == 0)
        rc = serve(&io, e);
    if (rc)
        write_fail(io.core, e);
    else
        tell(io.core);
    if (rc < 0)
        stage_fail(s, e);
    link_close(&io.solutions);
    link_close(&io.commits);
    write_close(&io.core);
    free(io.order);
    return rc;
}
