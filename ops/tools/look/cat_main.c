/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-cat - copies a stream from one endpoint to another: between a file, a pipe and a socket,
 * one to many, many to one; or measures a link with messages it makes itself. */
#include <stdio.h>
#include <string.h>
#include "../../../common/base/clock.h"
#include "../../../common/base/log.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/opt.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/status.h"
#include "../../../common/base/version.h"
#include "../../../common/wire/link.h"

struct cat {
    const char *in, *out, *role, *run;
    int64_t make, peers_in, peers_out, credit, status_fd;
    uint64_t size;
    double timeout;
    int compress, route, insecure, quiet, verbose;
};

#define AT(field) offsetof(struct cat, field)
static const struct opt table[] = {
    {"in", OPT_TEXT, AT(in), "ENDPOINT",
     "where messages come from: - (standard input), a file, @URL binds, URL connects", 0, 0, NULL},
    {"out", OPT_TEXT, AT(out), "ENDPOINT",
     "where they go: - (standard output), a file, @URL binds, URL connects", 0, 0, NULL},
    {"make", OPT_INT, AT(make), "N",
     "send N messages made here instead of reading any, to measure a link", -1, 1e12, NULL},
    {"size", OPT_SIZE, AT(size), "BYTES", "bytes of each of them", 0, 0, NULL},
    {"as", OPT_TEXT, AT(role), "ROLE", "what it says to be to other processes", 0, 0, NULL},
    {"run", OPT_TEXT, AT(run), "ID", "run that the other processes must belong to", 0, 0, NULL},
    {"route", OPT_CHOICE, AT(route), "ROUTE", "each message to any one peer or to all", 0, 0,
     "any|all"},
    {"peers-in", OPT_INT, AT(peers_in), "N",
     "senders that must have come and ended before the stream has ended", 1, 4096, NULL},
    {"peers-out", OPT_INT, AT(peers_out), "N", "receivers to wait for", 1, 4096, NULL},
    {"credit", OPT_INT, AT(credit), "N", "messages that a sender may have on its way", 1, 1e6,
     NULL},
    {"timeout", OPT_REAL, AT(timeout), "SECONDS", "a peer silent for so long is dead", 0.1, 86400,
     NULL},
    {"compress", OPT_CHOICE, AT(compress), "HOW", "tensors as they are, or zstd", 0, 0, "raw|zstd"},
    {"status-fd", OPT_INT, AT(status_fd), "FD", "descriptor for status lines (-1: none)", -1,
     1 << 20, NULL},
    {"insecure", OPT_FLAG, AT(insecure), NULL, "bind tcp beyond this host without keys", 0, 0,
     NULL},
    {"quiet", OPT_FLAG, AT(quiet), NULL, "say only what is wrong", 0, 0, NULL},
    {"verbose", OPT_FLAG, AT(verbose), NULL, "say more", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL}};
static const struct opt_spec spec = {"ptq-cat",
                                     "copies a stream of messages from one endpoint to another",
                                     "[options]",
                                     table,
                                     NULL,
                                     0,
                                     0};

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
static int message_next(const struct cat *c, struct link *in, int64_t *made, struct msg **m,
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

static int stream_copy(const struct cat *c, struct link *in, struct link *out, struct err *e)
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

int main(int argc, char **argv)
{
    struct cat c = {.in = "-",
                    .out = "-",
                    .make = -1,
                    .role = "cat",
                    .run = "",
                    .size = 1 << 20,
                    .peers_in = 1,
                    .peers_out = 1,
                    .credit = 4,
                    .status_fd = -1,
                    .timeout = 30};
    struct link *in = NULL, *out = NULL;
    struct link_opts oi, oo;
    struct err e = {0};
    double from;
    int r = opt_parse(&spec, &c, NULL, argc, argv, &e);

    if (r > 0)
        return 0;
    log_init("cat", c.quiet ? LOG_QUIET : c.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (r < 0 || (r = sig_init(&e)) < 0)
        goto out;
    oi = (struct link_opts){.role = c.role,
                            .run = c.run,
                            .peers = (size_t)c.peers_in,
                            .credit_messages = (size_t)c.credit,
                            .timeout_s = c.timeout,
                            .insecure = c.insecure};
    oo = (struct link_opts){.role = c.role,
                            .run = c.run,
                            .route = c.route ? LINK_ALL : LINK_ANY,
                            .peers = (size_t)c.peers_out,
                            .compress = c.compress ? FRAME_ZSTD : FRAME_RAW,
                            .timeout_s = c.timeout,
                            .insecure = c.insecure};
    r = -1;
    status_init("cat", (int)c.status_fd);
    if ((c.make < 0 && !(in = link_open(c.in, LINK_IN, &oi, &e))) ||
        !(out = link_open(c.out, LINK_OUT, &oo, &e)))
        goto out;
    from = clock_wall();
    r = stream_copy(&c, in, out, &e);
    side_tell("in", in);
    side_tell("out", out);
    log_info("%.2f s", clock_wall() - from);
out:
    link_close(&in);
    link_close(&out);
    if (r < 0)
        log_fatal(&e);
    return r < 0 ? err_exit(&e) : 0;
}
