/* SPDX-License-Identifier: Apache-2.0 */
/* pump - see pump.h. */
#include "pump.h"

#include <string.h>
#include "../base/fault.h"
#include "../base/pause.h"
#include "../base/sig.h"
#include "../base/status.h"

#define WATCH_MS 500 /* how often a wait looks whether those who take what comes of it are there */
#define STOPPED "asked to stop before the end of the stream"

unsigned pump_kinds(const struct pump_take *take)
{
    unsigned kinds = 0;

    for (; take->kinds; take++)
        kinds |= take->kinds;
    return kinds;
}

int pump_join(struct pump *p, struct err *e)
{
    for (size_t i = 0; i < PUMP_INS + PUMP_OUTS; i++) {
        struct link *l = i < PUMP_INS ? p->in[i].link : p->out[i - PUMP_INS];

        if (l && link_peers(l, 0, e) < 0)
            return sig_draining() ? 0 : -1;
    }
    status_update("ready", -1, NULL, 0, 0, "sites");
    return 1;
}

static int handle(struct pump *p, const struct pump_in *in, struct msg **m, struct err *e)
{
    const struct pump_take *t = in->take;
    char id[MSG_ID];
    int rc;

    fault_work();
    memcpy(id, (*m)->id, sizeof id);
    while (t && t->kinds && !(t->kinds & LINK_KIND((*m)->kind)))
        t++;
    rc = t && t->kinds ? t->take(p->ctx, m, e)
                       : err_set(e, ERR_USE, "'%s' is of kind %s, which nobody here takes",
                                 (*m)->id, msg_kind_name((*m)->kind));
    msg_destroy(m);
    if (rc != PUMP_REFUSED)
        return rc;
    if (!strstr(e->text, id))
        err_prefix(e, "'%s'", id);
    rc = link_refuse(in->link, e);
    if (rc == 0)
        *e = (struct err){0};
    return rc;
}

/* Nothing came. Whoever waits for one neighbour must see that another one is gone: -1. */
static int waited(struct pump *p, struct err *e)
{
    for (size_t i = 0; i < PUMP_OUTS; i++)
        if (p->out[i] && link_check(p->out[i], e) < 0)
            return sig_draining() ? 0 : -1;
    return p->idle && ++p->steps >= p->idle_ms / WATCH_MS ? (p->steps = 0, p->idle(p->ctx, e)) : 0;
}

/* One message of a link, if there is one. */
static int serve(struct pump *p, struct pump_in *in, int timeout_ms, struct err *e)
{
    struct msg *m = NULL;
    int rc = link_recv(in->link, &m, timeout_ms, e);

    if (rc == 1)
        return handle(p, in, &m, e);
    if (rc < 0 && sig_draining()) { /* its sender may have been asked to stop as well */
        *e = (struct err){0};
        return 0;
    }
    if (rc == 2 && timeout_ms > 0 && !sig_draining())
        return waited(p, e);
    if (rc)
        return rc < 0 ? -1 : 0;
    in->over = 1;
    return in->ended ? in->ended(p->ctx, e) : 0;
}

/* Several links: waits for any of them. */
static int serve_any(struct pump *p, struct pump_in **open, size_t n, int timeout_ms, struct err *e)
{
    struct link *link[PUMP_INS];
    int ready[PUMP_INS] = {0}, count;

    for (size_t i = 0; i < n; i++)
        link[i] = open[i]->link;
    count = link_poll(link, n, ready, timeout_ms, e);
    if (count < 0)
        return -1;
    if (count == 0)
        return timeout_ms > 0 && !sig_draining() ? waited(p, e) : 0;
    for (size_t i = 0; i < n; i++)
        if (ready[i] && serve(p, open[i], 0, e) < 0)
            return -1;
    return 0;
}

int pump_run(struct pump *p, struct err *e)
{
    const int timeout_ms = p->idle && p->idle_ms < WATCH_MS ? p->idle_ms : WATCH_MS;

    for (;;) {
        struct pump_in *open[PUMP_INS];
        size_t n = 0;
        int rc;

        for (size_t i = 0; i < PUMP_INS; i++)
            if (p->in[i].link && !p->in[i].over)
                open[n++] = &p->in[i];
        if (n == 0 || (p->done && p->done(p->ctx)))
            return 1;
        for (size_t i = 0; i < PUMP_OUTS; i++)
            if (p->out[i])
                link_flush(p->out[i]);
        pause_wait();
        if (sig_draining())
            return 0;
        rc = n == 1 ? serve(p, open[0], timeout_ms, e) : serve_any(p, open, n, timeout_ms, e);
        if (rc < 0)
            return -1;
    }
}

/* Do all that this link sends to go on when it ends early? Where nobody is, nobody misses it. */
static int may_leave(const struct link *l)
{
    struct link_known known;
    struct link_stats s;

    if (!link_is_socket(l))
        return 0;
    link_known(l, &known);
    link_stats(l, &s);
    return known.elastic || (s.peers == 0 && s.messages == 0);
}

/* A link that nobody has come to has nothing to end. */
static int end_early(struct link *l, int complete, const char *why, struct err *e)
{
    struct link_stats s;

    link_stats(l, &s);
    return s.peers ? link_end(l, complete, why, e) : 0;
}

static int leave(struct pump *p, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < PUMP_OUTS; i++)
        if (p->out[i] && end_early(p->out[i], 1, NULL, rc ? NULL : e) < 0)
            rc = -1;
    for (size_t i = 0; i < PUMP_INS && rc == 0; i++)
        if (p->in[i].link)
            link_leave(p->in[i].link);
    return rc;
}

int pump_end(struct pump *p, int rc, struct err *e)
{
    int leaves = rc == 0;

    for (size_t i = 0; i < PUMP_OUTS; i++)
        leaves = leaves && (!p->out[i] || may_leave(p->out[i]));
    if (leaves)
        return leave(p, e);
    if (rc == 0)
        err_set(e, ERR_SYS, STOPPED);
    for (size_t i = 0; i < PUMP_OUTS; i++) {
        struct link *l = p->out[i];

        if (l && rc > 0 && link_end(l, 1, NULL, e) < 0)
            rc = -1;
        else if (l && rc <= 0)
            end_early(l, 0, e->text, NULL); /* the first error is the one to tell */
    }
    if (rc == 0 && p->stop_is_fine)
        *e = (struct err){0};
    return rc > 0 || (rc == 0 && p->stop_is_fine) ? 0 : -1;
}

int pump_drop(struct link *l, struct err *e)
{
    struct msg *m = NULL;
    int rc = 1;

    while (l && (rc = link_recv(l, &m, -1, e)) == 1)
        msg_destroy(&m);
    return !l || rc == 0 ? 1 : rc < 0 ? -1 : 0;
}
