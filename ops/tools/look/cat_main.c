/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-cat - copies a stream from one endpoint to another: between a file, a pipe and a socket,
 * one to many, many to one; or measures a link with messages it makes itself. */
#include <string.h>
#include "../../../common/base/clock.h"
#include "../../../common/base/log.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/status.h"
#include "../../../common/wire/link.h"
#include "cat_opts.h"

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

/* 1 a message, 0 the end, 2 asked to stop, -1. */
static int message_next(const struct cat_command *c, struct link *in, int64_t *made, struct msg **m,
                        struct err *e)
{
    if (in)
        return link_recv(in, m, -1, e);
    if (sig_draining())
        return 2;
    if (*made >= c->make)
        return 0;
    *m = message_make((*made)++, c->size, e);
    return *m ? 1 : -1;
}

static int stream_copy(const struct cat_command *c, struct link *in, struct link *out,
                       struct err *e)
{
    struct msg *m = NULL;
    uint64_t done = 0;
    int64_t made = 0;
    int r;

    while ((r = message_next(c, in, &made, &m, e)) == 1) {
        if (link_send(out, &m, e) != 0) {
            msg_destroy(&m);
            return -1;
        }
        status_update("copy", -1, NULL, ++done, 0, "messages");
    }
    if (r < 0) {
        struct err ignored;
        link_end(out, 0, e->text, &ignored); /* the first error is the one to tell */
        return -1;
    }
    if (r == 2) {
        err_set(e, ERR_DATA, "asked to stop before the end of the stream");
        link_end(out, 0, e->text, NULL);
        return -1;
    }
    return link_end(out, 1, NULL, e);
}

static void side_tell(const char *what, const struct link *l)
{
    struct link_stats s;
    double gb;

    if (!l)
        return;
    link_stats(l, &s);
    gb = (double)s.bytes_wire * 1e-9;
    log_info("%s: %llu messages, %.3f GB, %.2f CPU s (%.2f s/GB), waited %.2f s", what,
             (unsigned long long)s.messages, gb, s.cpu_s, gb > 0 ? s.cpu_s / gb : 0, s.wait_s);
}

static int run(struct stage *s, struct err *e)
{
    const struct cat_command *c = s->own;
    const struct link_opts oi = {.role = c->role,
                                 .run = c->run,
                                 .peers = (size_t)c->peers_in,
                                 .credit_messages = (size_t)c->credit,
                                 .timeout_s = c->timeout,
                                 .insecure = s->insecure};
    const struct link_opts oo = {.role = c->role,
                                 .run = c->run,
                                 .route = (enum link_route)c->route,
                                 .peers = (size_t)c->peers_out,
                                 .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW,
                                 .timeout_s = c->timeout,
                                 .insecure = s->insecure};
    struct link *in = c->make < 0 ? link_open(s->in, LINK_IN, &oi, e) : NULL;
    struct link *out = in || c->make >= 0 ? link_open(s->out, LINK_OUT, &oo, e) : NULL;
    const double from = clock_wall();
    int rc = -1;

    if (out) {
        rc = stream_copy(c, in, out, e);
        side_tell("in", in);
        side_tell("out", out);
        log_info("%.2f s", clock_wall() - from);
    }
    link_close(&in);
    link_close(&out);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&cat_spec, run, argc, argv);
}
