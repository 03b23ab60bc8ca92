/* SPDX-License-Identifier: Apache-2.0 */
/* forward_io - see forward_io.h. */
#include "forward_io.h"

#include <stdlib.h>
#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/wire/follow.h"
#include "../../common/wire/link.h"
#include "../../common/wire/msg_solution.h"

/* how often a wait for a commit looks whether there is still somebody to wait for */
#define FOLLOW_STEP_MS 500

struct forward_io_links {
    struct link *in, *out, *commits;
    struct follow *follow;
    struct msg **early; /* commits of sites that are not awaited yet */
    size_t nearly, early_cap;
};

struct forward_io_links *forward_io_open(const struct forward_ends *ends, struct err *e)
{
    struct forward_io_links *l = mem_array(1, sizeof *l, e);
    struct link_opts o = {.name = "forward", .insecure = ends->insecure};

    if (!l)
        return NULL;
    o.takes = LINK_KIND(MSG_CHUNK);
    o.credit_messages = 1024;
    if (!(l->in = link_open(ends->in, LINK_IN, &o, e)))
        goto fail;
    o.takes = LINK_KIND(MSG_COMMIT);
    o.credit_messages = 4;
    if (ends->commits && !(l->commits = link_open(ends->commits, LINK_IN, &o, e)))
        goto fail;
    if (ends->follow && !(l->follow = follow_open(ends->follow, e)))
        goto fail;
    o.sends = LINK_KIND(MSG_ACTS) | LINK_KIND(MSG_WEIGHTS);
    o.compress = ends->zstd ? FRAME_ZSTD : FRAME_RAW;
    if (!(l->out = link_open(ends->out, LINK_OUT, &o, e)))
        goto fail;
    return l;
fail:
    forward_io_close(&l);
    return NULL;
}

void forward_io_close(struct forward_io_links **lp)
{
    struct forward_io_links *l = lp ? *lp : NULL;

    if (!l)
        return;
    link_close(&l->in);
    link_close(&l->out);
    link_close(&l->commits);
    follow_close(&l->follow);
    for (size_t i = 0; i < l->nearly; i++)
        msg_destroy(&l->early[i]);
    free(l->early);
    free(l);
    *lp = NULL;
}

static int emit(void *ctx, struct msg **m, struct err *e)
{
    struct forward_io_links *l = ctx;

    return link_send(l->out, m, e);
}

/* The order of a commit; -1: it is none. */
static int order_of(const struct msg *m, uint64_t *order, struct err *e)
{
    struct solution_view v;

    if (m->kind != MSG_COMMIT)
        return err_set(e, ERR_USE, "expected a commit, got a %s", msg_kind_name(m->kind));
    if (solution_read(m, &v, e) < 0)
        return -1;
    *order = v.order;
    return 0;
}

/* 1: it came before it was awaited. */
static int take_early(struct forward_io_links *l, uint64_t order, struct msg **m)
{
    uint64_t have;

    for (size_t i = 0; i < l->nearly; i++)
        if (order_of(l->early[i], &have, NULL) == 0 && have == order) {
            *m = l->early[i];
            l->early[i] = l->early[--l->nearly];
            return 1;
        }
    return 0;
}

/* A commit by link. Sites that were ready together are committed in any order: those that are
 * early are kept. */
static int commit_by_link(struct forward_io_links *l, uint64_t order, struct msg **m, struct err *e)
{
    uint64_t have;
    int rc;

    if (take_early(l, order, m))
        return 0;
    while ((rc = link_recv(l->commits, m, -1, e)) == 1) {
        if (order_of(*m, &have, e) < 0)
            return -1;
        if (have == order)
            return 0;
        if (have < order) {
            msg_destroy(m);
            continue;
        }
        if (mem_grow((void **)&l->early, &l->early_cap, l->nearly + 1, sizeof *l->early, e) < 0)
            return -1;
        l->early[l->nearly++] = *m;
        *m = NULL;
    }
    if (rc == 0)
        err_set(e, ERR_DATA, "the writer ended before it committed site %llu",
                (unsigned long long)order);
    else if (rc == 2)
        err_set(e, ERR_DATA, "told to stop while waiting for the commit of site %llu",
                (unsigned long long)order);
    return -1;
}

static int commit(void *ctx, uint64_t order, struct msg **m, struct err *e)
{
    struct forward_io_links *l = ctx;
    int rc;

    status_update("wait", -1, NULL, order, 0, "sites");
    if (l->commits)
        return commit_by_link(l, order, m, e);
    do {
        rc = follow_next(l->follow, order, m, FOLLOW_STEP_MS, e);
        if (rc == 2 && link_output_check(e) != 0)
            return -1;
    } while (rc == 2 && !sig_draining());
    if (rc == 1)
        return 0;
    if (rc == 2)
        err_set(e, ERR_DATA, "told to stop while waiting for the commit of site %llu",
                (unsigned long long)order);
    else if (rc == 0)
        err_set(e, ERR_DATA,
                "the folder that is followed is finished already; use a new output folder");
    return -1;
}

static void progress(void *ctx, size_t block, const char *site, size_t done, size_t chunks)
{
    (void)ctx;
    status_update("forward", (int64_t)block, site, done, chunks, "chunks");
}

/* All chunks first: they are token ids, small beside everything that follows. */
static int take_chunks(struct forward_io_links *l, struct forward *f, struct err *e)
{
    struct msg *m = NULL;
    int rc;

    while ((rc = link_recv(l->in, &m, -1, e)) == 1) {
        rc = m->kind == MSG_CHUNK
                 ? forward_add(f, m, e)
                 : err_set(e, ERR_USE, "expected chunks, got a %s", msg_kind_name(m->kind));
        msg_destroy(&m);
        if (rc < 0)
            return -1;
    }
    if (rc == 2)
        return err_set(e, ERR_DATA, "told to stop before all chunks had come");
    return rc;
}

/* The writer's end mark says that it has taken the last commit's confirmation; without it this
 * worker would leave a peer waiting. A worker that got no chunks also has all commits before it. */
static int await_end(struct forward_io_links *l, struct err *e)
{
    struct msg *m = NULL;
    int rc = 0;

    while (l->commits && (rc = link_recv(l->commits, &m, -1, e)) == 1)
        msg_destroy(&m);
    return rc == 2 ? err_set(e, ERR_DATA, "told to stop before the writer's end") : rc;
}

int forward_io_run(struct forward_io_links *l, struct forward *f, struct err *e)
{
    struct forward_io io = {.ctx = l, .emit = emit, .commit = commit, .progress = progress};
    int rc = take_chunks(l, f, e);

    if (rc == 0 && forward_chunks(f) > 0) {
        log_info("%zu chunks, %llu tokens", forward_chunks(f),
                 (unsigned long long)forward_tokens(f));
        if (forward_one_modality(f))
            log_warn("--modality-weights: all tokens of the chunks here are of one modality: "
                     "weighing them changes nothing");
        status_tokens(forward_tokens(f));
        rc = forward_run(f, &io, e);
        if (forward_uniform(f) > 0)
            log_info("attention weights: %llu times a sequence of a block had nothing to tell its "
                     "tokens apart, they kept equal weights",
                     (unsigned long long)forward_uniform(f));
        if (forward_zero(f) > 0)
            log_warn("token weights: %llu times a sequence had weights of 0 only, its tokens count "
                     "alike",
                     (unsigned long long)forward_zero(f));
    }
    if (link_end(l->out, rc == 0, rc < 0 ? e->text : NULL, rc < 0 ? NULL : e) < 0)
        rc = -1;
    return rc < 0 ? -1 : await_end(l, e);
}
