/* SPDX-License-Identifier: Apache-2.0 */
/* relay - see relay.h. */
#include "relay.h"

#include <stdio.h>
#include <string.h>
#include "../../../common/base/clock.h"
#include "../../../common/base/log.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/status.h"
#include "../../../common/base/plural.h"
#include "../../../common/wire/pump.h"

struct copy {
    const struct relay *r;
    struct link *in, *out;
    struct link_known known; /* of those that send */
    struct msg *first;       /* read to learn what comes; NULL: not needed, or handed on */
    size_t receivers;
    uint64_t done;
};

static struct msg *message_make(int64_t i, uint64_t size, struct err *e)
{
    struct msg *m = msg_create(MSG_CHUNK, "cat", e);
    unsigned char *data;

    if (!m || msg_set_id(m, e, "made/%lld", (long long)i) != 0 ||
        !(data = msg_add_new(m, "data", DT_U8, 1, &size, e))) {
        msg_destroy(&m);
        return NULL;
    }
    memset(data, (int)(i & 255), size);
    return m;
}

/* A lane is the share of one worker. */
static int hand_on(void *ctx, struct msg **m, struct err *e)
{
    struct copy *c = ctx;
    int64_t lane;
    int by_lane = c->receivers > 1 && !c->r->all && (*m)->kind == MSG_CHUNK &&
                  json_as_int(json_get((*m)->meta, "lane"), &lane) == 0 && lane >= 0;

    if (by_lane ? link_send_to(c->out, (size_t)lane % c->receivers, m, e) < 0
                : link_send(c->out, m, e) < 0)
        return -1;
    status_update("copy", -1, NULL, ++c->done, 0, "messages");
    return 0;
}

static int open_in(struct copy *c, struct err *e)
{
    const struct relay *r = c->r;

    if (r->make >= 0) {
        c->known.kinds = LINK_KIND(MSG_CHUNK);
        return 0;
    }
    c->in = link_open(r->in, LINK_IN,
                      &(struct link_opts){.name = "cat",
                                          .run = r->run,
                                          .peers = r->peers_in,
                                          .credit_messages = r->credit,
                                          .timeout_s = r->timeout,
                                          .lease = r->lease,
                                          .keys = r->keys,
                                          .insecure = r->insecure},
                      e);
    return c->in ? 0 : -1;
}

/* What will come, from who sends it or else from the first message. 1; 0: the stream is over, or
 * asked to stop; -1. */
static int learn(struct copy *c, struct err *e)
{
    int rc;

    if (!c->in)
        return 1;
    if (link_peers(c->in, 1, e) < 0)
        return sig_draining() ? 0 : -1;
    link_known(c->in, &c->known);
    if (c->known.kinds)
        return 1;
    rc = link_recv(c->in, &c->first, -1, e);
    if (rc == 1)
        c->known.kinds = LINK_KIND(c->first->kind);
    return rc == 2 ? 0 : rc;
}

/* Solvers come and go, so who hands problems on must bear it. */
static int open_out(struct copy *c, struct err *e)
{
    const struct relay *r = c->r;

    c->out = link_open(
        r->out, LINK_OUT,
        &(struct link_opts){.name = "cat",
                            .sends = c->known.kinds,
                            .run = r->run ? r->run : c->known.run,
                            .route = r->all ? LINK_ALL : LINK_ANY,
                            .peers = r->peers_out,
                            .elastic = c->known.elastic || c->known.kinds & LINK_KIND(MSG_PROBLEM),
                            .compress = r->zstd ? FRAME_ZSTD : FRAME_RAW,
                            .timeout_s = r->timeout,
                            .lease = r->lease,
                            .keys = r->keys,
                            .insecure = r->insecure},
        e);
    return c->out ? 0 : -1;
}

static int send_made(struct copy *c, struct err *e)
{
    for (int64_t i = 0; i < c->r->make; i++) {
        struct msg *m = sig_draining() ? NULL : message_make(i, c->r->size, e);
        int rc = m ? hand_on(c, &m, e) : -1;

        msg_destroy(&m);
        if (rc < 0)
            return sig_draining() ? 0 : -1;
    }
    return 1;
}

static int copy_all(struct copy *c, struct pump *p, struct err *e)
{
    int peers = link_peers(c->out, 0, e);

    if (peers < 0)
        return sig_draining() ? 0 : -1;
    c->receivers = (size_t)peers;
    status_update("ready", -1, NULL, 0, 0, "messages");
    if (!c->in)
        return send_made(c, e);
    if (c->first && hand_on(c, &c->first, e) < 0)
        return -1;
    return pump_run(p, e);
}

static void side_tell(const char *what, const struct link *l)
{
    struct link_stats s;
    double gb;

    if (!l)
        return;
    link_stats(l, &s);
    gb = (double)s.bytes_wire * 1e-9;
    log_info("%s: %llu message%s, %.3f GB, %.2f CPU s (%.2f s/GB), waited %.2f s", what,
             (unsigned long long)s.messages, plural_s(s.messages), gb, s.cpu_s,
             gb > 0 ? s.cpu_s / gb : 0, s.wait_s);
}

int relay_run(const struct relay *r, struct err *e)
{
    static const struct pump_take every[] = {{LINK_EVERY_KIND, hand_on}, {0, NULL}};
    struct copy c = {.r = r};
    struct pump p = {.ctx = &c, .in = {{.take = every}}};
    double from = clock_wall();
    struct err ignored = {0};
    int learned, rc = -1;

    if (open_in(&c, e) < 0)
        goto out;
    p.in[0].link = c.in;
    /* only a socket says hello, and a pipe may have to be there before anything comes */
    if (!link_names_socket(r->out) && open_out(&c, e) < 0)
        goto out;
    learned = learn(&c, e);
    if (!c.out && open_out(&c, learned < 0 ? &ignored : e) < 0)
        goto out;
    p.out[0] = c.out;
    rc = learned > 0 ? copy_all(&c, &p, e) : learned == 0 && !sig_draining() ? 1 : learned;
    rc = pump_end(&p, rc, e);
    side_tell("in", c.in);
    side_tell("out", c.out);
    log_info("%.2f s", clock_wall() - from);
out:
    msg_destroy(&c.first);
    link_close(&c.in);
    link_close(&c.out);
    return rc;
}
