/* SPDX-License-Identifier: Apache-2.0 */
/* link - endpoints, options and polling; the work is done by link_file.c (pipes, files) and
 * link_sock.c (sockets). */
#include "link.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../base/clock.h"
#include "../base/fault.h"
#include "../base/hash.h"
#include "../base/log.h"
#include "../base/mem.h"
#include "../base/sig.h"
#include "../base/plural.h"
#include "../base/status.h"
#include "link_impl.h"

static void opts_complete(struct link_opts *o)
{
    const struct frame_limits def = FRAME_LIMITS_DEFAULT;

    o->peers = o->peers ? o->peers : 1;
    o->credit_messages = o->credit_messages ? o->credit_messages : 4;
    o->credit_bytes = o->credit_bytes ? o->credit_bytes : (size_t)256 << 20;
    o->timeout_s = o->timeout_s > 0 ? o->timeout_s : fault_silence(30);
    o->stall_s = o->stall_s > 0 ? o->stall_s : 60;
    o->limits.parts = o->limits.parts ? o->limits.parts : def.parts;
    o->limits.header_bytes = o->limits.header_bytes ? o->limits.header_bytes : def.header_bytes;
    o->limits.tensor_bytes = o->limits.tensor_bytes ? o->limits.tensor_bytes : def.tensor_bytes;
    o->limits.message_bytes = o->limits.message_bytes ? o->limits.message_bytes : def.message_bytes;
}

static int accepts_fit(const struct link_opts *o, const char *endpoint, struct err *e)
{
    size_t bytes = 0;

    for (size_t i = 0; i < o->naccepts; i++)
        bytes += strlen(o->accepts[i]) + 1;
    return bytes <= ACCEPTS_BYTES
               ? 0
               : err_set(e, ERR_USE, "link %s: patterns of %zu bytes, a hello holds %d", endpoint,
                         bytes, ACCEPTS_BYTES);
}

int link_init(struct link *l, const struct link_ops *ops, const char *endpoint, enum link_dir dir,
              const struct link_opts *o, struct err *e)
{
    l->ops = ops;
    l->dir = dir;
    l->o = *o;
    opts_complete(&l->o);
    if (!(l->endpoint = mem_text(endpoint, e)) || !(l->address = mem_text(endpoint, e)) ||
        !(l->name = mem_text(o->name ? o->name : "", e)))
        return -1;
    l->o.name = l->name;
    l->own = (struct run_id)RUN_ID_INIT;
    l->run = o->run_id ? o->run_id : &l->own;
    if (accepts_fit(o, endpoint, e) < 0 || (o->run && run_id_check(l->run, o->run, 1, e) < 0))
        return -1;
    return 0;
}

int link_names_socket(const char *endpoint)
{
    return endpoint[0] == '@' || strstr(endpoint, "://");
}

struct link *link_open(const char *endpoint, enum link_dir dir, const struct link_opts *o,
                       struct err *e)
{
    const struct link_opts none = {.name = ""};
    struct link *l;

    if (!endpoint || !*endpoint) {
        err_set(e, ERR_USE,
                "an endpoint is empty: say -, a file, URL or @URL (ipc://PATH, tcp://HOST:PORT)");
        return NULL;
    }
    if (link_names_socket(endpoint))
        l = sock_open(endpoint, dir, o ? o : &none, e);
    else
        l = file_open(endpoint, dir, o ? o : &none, e);
    if (l)
        l->opened = 1;
    return l;
}

/* What an end moved and what that took, for `make bench` and whoever asks with --verbose. */
static void tell_stats(const struct link *l)
{
    struct link_stats s;

    link_stats(l, &s);
    log_detail(
        "link %s %s: %llu message%s, %llu bytes raw, %llu in memory, %llu on the wire, %.3f CPU s, "
        "waited %.3f s",
        l->dir == LINK_IN ? "in" : "out", l->address, (unsigned long long)s.messages,
        plural_s(s.messages), (unsigned long long)s.bytes_raw, (unsigned long long)s.bytes_memory,
        (unsigned long long)s.bytes_wire, s.cpu_s, s.wait_s);
}

void link_close(struct link **l)
{
    struct link *gone = l ? *l : NULL;
    int keep = errno;

    if (!gone)
        return;
    *l = NULL;
    if (gone->opened)
        tell_stats(gone);
    gone->ops->close(gone);
    free(gone->endpoint);
    free(gone->address);
    free(gone->name);
    free(gone);
    errno = keep;
}

static int wrong_way(const struct link *l, const char *what, struct err *e)
{
    return err_set(e, ERR_USE, "link %s: cannot %s at this end", l->endpoint, what);
}

int link_recv(struct link *l, struct msg **m, int timeout_ms, struct err *e)
{
    *m = NULL;
    return l->dir == LINK_IN ? l->ops->recv(l, m, timeout_ms, e) : wrong_way(l, "receive", e);
}

static int send_to(struct link *l, size_t peer, struct msg **m, struct err *e)
{
    if (l->dir != LINK_OUT || l->ended)
        return wrong_way(l, l->ended ? "send after the end mark" : "send", e);
    if (!*m || !msg_kind_is_data((*m)->kind))
        return err_set(e, ERR_USE, "link %s: only data messages can be sent", l->endpoint);
    if (run_id_check(l->run, (*m)->run, 1, e) < 0)
        return err_prefix(e, "link %s: '%s'", l->endpoint, (*m)->id);
    run_id_get(l->run, (*m)->run);
    return l->ops->send(l, peer, m, e);
}

int link_send(struct link *l, struct msg **m, struct err *e)
{
    return send_to(l, LINK_PEER_ANY, m, e);
}

int link_send_to(struct link *l, size_t peer, struct msg **m, struct err *e)
{
    return send_to(l, peer, m, e);
}

int link_peers(struct link *l, size_t least, struct err *e)
{
    return l->ops->peers(l, least ? least : l->o.peers, e);
}

int link_can_send(struct link *l, struct err *e)
{
    return l->dir == LINK_OUT ? l->ops->ready(l, e) : wrong_way(l, "send", e);
}

int link_end(struct link *l, int complete, const char *why, struct err *e)
{
    if (l->dir != LINK_OUT || l->ended)
        return wrong_way(l, l->ended ? "end twice" : "end the stream", e);
    l->ended = 1;
    return l->ops->end(l, complete, why, e);
}

int link_is_socket(const struct link *l)
{
    return link_is_sock(l);
}

void link_known(const struct link *l, struct link_known *k)
{
    *k = (struct link_known){0};
    if (l->ops->known)
        l->ops->known(l, k);
}

const char *link_address(const struct link *l)
{
    return l->address;
}

void link_stats(const struct link *l, struct link_stats *s)
{
    l->ops->stats(l, s);
    s->wait_s = l->wait_s;
}

int wait_ms(double until)
{
    double left = until < 0 ? -1 : until - clock_wall();

    return until < 0 ? -1 : left <= 0 ? 0 : left > 3600 ? 3600 * 1000 : (int)(left * 1000) + 1;
}

int wait_alive_ms(double until)
{
    const int ms = wait_ms(until);

    return ms < 0 || ms > STATUS_ALIVE_MS ? STATUS_ALIVE_MS : ms;
}

double wait_until(int timeout_ms)
{
    return timeout_ms < 0 ? -1 : clock_wall() + timeout_ms * 1e-3;
}

/* How many are ready; -1 on the first error. */
static int ready_mark(struct link **l, size_t n, int *ready, struct err *e)
{
    int count = 0;

    for (size_t i = 0; i < n; i++) {
        int r = l[i]->ops->ready(l[i], e);
        if (r < 0)
            return -1;
        ready[i] = r;
        count += r;
    }
    return count;
}

/* What the stage stood still since *from for: the first that is ready; as long as none is, the one
 * that was last. */
static void poll_count(struct link **l, size_t n, const int *ready, double *from)
{
    struct link *whom = l[0];

    for (size_t i = 0; i < n; i++) {
        if (ready[i]) {
            whom = l[i];
            break;
        }
        whom = l[i]->came > whom->came ? l[i] : whom;
    }
    wait_count(whom, from);
}

int link_poll(struct link **l, size_t n, int *ready, int timeout_ms, struct err *e)
{
    double until = wait_until(timeout_ms), from = clock_wall();
    struct pollfd *fds = mem_array(n + 2, sizeof *fds, e);
    int count = -1, stood = 0;

    if (!fds)
        return -1;
    for (;;) {
        for (size_t i = 0; i < n; i++) {
            fds[i] = l[i]->ops->poll(l[i]);
            ready[i] = 0;
        }
        fds[n] = (struct pollfd){sig_fd(), POLLIN, 0};
        fds[n + 1] = link_output_poll();
        count = sig_draining() ? 0 : ready_mark(l, n, ready, e);
        if (stood && n)
            poll_count(l, n, ready, &from);
        if (count || sig_draining() || wait_ms(until) == 0)
            break;
        status_alive();
        if (poll(fds, n + 2, wait_alive_ms(until)) < 0 && errno != EINTR) {
            count = err_sys(e, "cannot wait for links");
            break;
        }
        stood = 1;
        if (link_output_read(&fds[n + 1], e) != 0) {
            count = -1;
            break;
        }
    }
    free(fds);
    for (size_t i = 0; i < n; i++)
        if (count) {
            l[i]->came = ready[i] ? clock_wall() : l[i]->came;
            wait_over(l[i]);
        } else
            wait_explain(l[i], NULL);
    return count;
}

struct msg *end_mark_create(const char *name, uint64_t count, uint64_t sum, int complete,
                            const char *why, struct err *e)
{
    struct msg *m = msg_create(MSG_END, name, e);
    char hex[17];

    if (!m)
        return NULL;
    hash_hex(sum, hex);
    if (json_set_int(m->meta, "count", (int64_t)count) || json_set_text(m->meta, "sum", hex) ||
        json_set_bool(m->meta, "complete", complete) ||
        (why && json_set_text(m->meta, "why", why))) {
        err_set(e, ERR_SYS, "no memory for the end mark");
        msg_destroy(&m);
    }
    return m;
}

int end_mark_check(const struct msg *m, uint64_t count, uint64_t sum, const char *from,
                   struct err *e)
{
    const char *text, *why = json_as_text(json_get(m->meta, "why"));
    int64_t said;
    int complete;
    char hex[17];

    if (json_need_int(m->meta, "count", 0, INT64_MAX, &said, "end mark", e) < 0 ||
        json_opt_bool(m->meta, "complete", 0, &complete, "end mark", e) < 0 ||
        !(text = json_need_text(m->meta, "sum", "end mark", e)))
        return -1;
    if (!complete)
        return err_set(e, ERR_DATA, "stream from %s is incomplete: %s", from,
                       why && *why ? why : "its sender ended it early");
    if ((uint64_t)said != count)
        return err_set(e, ERR_DATA,
                       "stream from %s is incomplete: %llu message%s came, its end mark says %lld",
                       from, (unsigned long long)count, plural_s(count), (long long)said);
    hash_hex(sum, hex);
    if (strcmp(hex, text) != 0)
        return err_set(e, ERR_DATA,
                       "stream from %s is damaged: checksum %s, its end mark says %.16s", from, hex,
                       text);
    return 0;
}
