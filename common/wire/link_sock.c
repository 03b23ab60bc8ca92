/* SPDX-License-Identifier: Apache-2.0 */
/* link_sock - sockets: opening, and the stage's side of the queues; the thread that owns the
 * socket is in link_peer.c. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "../base/clock.h"
#include "../base/log.h"
#include "../base/mem.h"
#include "../base/sig.h"
#include "../base/status.h"
#include "link_impl.h"

/* how long a stage that is asked to stop still waits for credit or acknowledgement */
#define DRAIN_S 5.0

static void wake(struct sock *s)
{
    uint64_t one = 1;

    if (write(s->wake, &one, sizeof one) < 0)
        return; /* full: it is awake anyway */
}

/* The stage looks: what is news from here on is told again. */
static void event_clear(struct sock *s)
{
    uint64_t n;

    if (read(s->event, &n, sizeof n) < 0)
        n = 0; /* nothing there */
    atomic_store(&s->told, 0);
}

/* Only the stage writes when they began to wait. */
static void flush(struct sock *s)
{
    if (s->gathering <= 0)
        return;
    pthread_mutex_lock(&s->mu);
    s->gathering = 0;
    pthread_mutex_unlock(&s->mu);
    wake(s);
}

size_t peers_present(const struct sock *s, enum peer_state least)
{
    size_t n = 0;

    for (size_t i = 0; i < s->npeers; i++)
        n += s->peer[i]->state >= least && s->peer[i]->state != PEER_GONE;
    return n;
}

/* Calls ask (under mu) until it does not return 0; 0 time is up, 2 draining. drain: 1 give up at
 * once when draining begins, 0 go on for DRAIN_S, if there is anybody to wait for. m: the message
 * that waits, or NULL. */
static int stage_wait(struct sock *s, int (*ask)(struct sock *s, void *ctx, struct err *e),
                      void *ctx, const struct msg *m, int timeout_ms, int drain, struct err *e)
{
    double from = clock_wall(), until = wait_until(timeout_ms), stop = -1;
    int alone, r;

    for (;;) {
        struct pollfd p[2] = {{s->event, POLLIN, 0}, {stop < 0 ? sig_fd() : -1, POLLIN, 0}};
        double next = clock_wall() + 1;

        if (sig_draining() && stop < 0)
            stop = drain ? 0 : clock_wall() + DRAIN_S;
        if (drain && stop >= 0) {
            r = 2;
            break;
        }
        status_alive();
        event_clear(s);
        pthread_mutex_lock(&s->mu);
        r = ask(s, ctx, e);
        alone = peers_present(s, PEER_READY) == lease_awaited(s);
        pthread_mutex_unlock(&s->mu);
        if (r)
            break;
        if (wait_ms(until) == 0)
            break;
        if (stop >= 0 && (alone || wait_ms(stop) == 0)) {
            r = 2;
            break;
        }
        next = until >= 0 && until < next ? until : next;
        flush(s);
        if (poll(p, 2, wait_ms(next)) < 0 && errno != EINTR) {
            r = err_sys(e, "cannot wait for %s", s->l.address);
            break;
        }
        wait_count(&s->l, &from);
        wait_explain(&s->l, m);
    }
    if (r)
        wait_over(&s->l);
    return r;
}

static int failed(const struct sock *s, struct err *e)
{
    if (s->failed && e)
        *e = s->err;
    return s->failed ? -1 : 0;
}

/* All have ended, and enough have come; elastic: and the stage has all it needs. */
static int all_ended(const struct sock *s)
{
    size_t ended = peers_present(s, PEER_ENDED), spare = 0;
    int enough;

    if (!s->bound && s->npeers && s->peer[0]->spare)
        return 1;
    for (size_t i = 0; i < s->npeers; i++)
        spare += s->peer[i]->spare && s->peer[i]->state == PEER_ENDED;
    enough = s->l.o.elastic ? s->enough : ended - spare >= s->l.o.peers;

    return enough && ended == peers_present(s, PEER_HELLO);
}

static int ask_recv(struct sock *s, void *ctx, struct err *e)
{
    (void)ctx;
    if (s->inbox.count)
        return 1;
    if (failed(s, e))
        return -1;
    return all_ended(s) ? 3 : 0;
}

static int sock_recv(struct link *l, struct msg **m, int timeout_ms, struct err *e)
{
    struct sock *s = (struct sock *)l;
    struct box *b;
    int r;

    if (credit_back(s))
        wake(s);
    r = stage_wait(s, ask_recv, NULL, NULL, timeout_ms, 1, e);
    if (r != 1)
        return r < 0 ? -1 : r == 3 ? 0 : 2;
    pthread_mutex_lock(&s->mu);
    b = queue_pop(&s->inbox);
    status_queue(-1);
    s->st.messages++;
    s->st.bytes_raw += b->bytes;
    s->peer[b->peer]->taken++;
    peer_name(s, s->peer[b->peer], s->taken_from);
    pthread_mutex_unlock(&s->mu);
    s->taken = 1;
    s->taken_peer = b->peer;
    s->taken_bytes = b->bytes;
    s->taken_stream = b->from;
    *m = b->m;
    b->m = NULL;
    box_unref(&b);
    return 1;
}

struct send_ask {
    size_t peer;
    struct box *box;
}; /* box NULL: only ask */

static int box_place(struct sock *s, struct peer *p, struct box *b, struct err *e)
{
    if (queue_push(p ? &p->queue : &s->history, b, e) < 0)
        return -1;
    if (p) {
        p->out_messages++;
        p->out_bytes += b->bytes;
        p->largest = b->bytes > p->largest ? b->bytes : p->largest;
        s->turn = p->number + 1;
    }
    if (!p || !send_can_wait(s, p))
        s->gathering = 0;
    else if (s->gathering <= 0)
        s->gathering = clock_wall();
    s->st.messages++;
    s->st.bytes_raw += b->bytes;
    return 1;
}

/* 0, or an error when none of those that it could go to takes its kind. */
static int kind_taken(const struct sock *s, size_t peer, const struct msg *m, struct err *e)
{
    const struct peer *other = NULL;
    char name[256], text[KINDS_TEXT];

    for (size_t i = 0; i < s->npeers; i++) {
        const struct peer *p = s->peer[i];

        if ((peer != LINK_PEER_ANY && peer != i) || p->state != PEER_READY)
            continue;
        if (p->kinds & LINK_KIND(m->kind))
            return 0;
        other = p;
    }
    if (!other)
        return 0;
    return err_set(e, ERR_USE, "'%s' is of kind %s, but %s takes %s", m->id, msg_kind_name(m->kind),
                   peer_name(s, other, name), kinds_text(other->kinds, text));
}

/* Finds a peer with credit and hands it the message. */
static int ask_send(struct sock *s, void *ctx, struct err *e)
{
    struct send_ask *a = ctx;

    if (failed(s, e))
        return -1;
    if (s->l.o.route == LINK_ALL)
        return a->box ? box_place(s, NULL, a->box, e) : 1;
    if (peers_present(s, PEER_READY) < s->l.o.peers)
        return 0;
    if (a->peer != LINK_PEER_ANY && a->peer >= s->npeers)
        return err_set(e, ERR_USE, "link %s: has no peer %zu", s->l.address, a->peer);
    if (a->peer != LINK_PEER_ANY && s->peer[a->peer]->state == PEER_GONE)
        return err_set(e, ERR_SYS, "link %s: peer %zu is gone", s->l.address, a->peer);
    for (size_t k = 0; k < s->npeers; k++) {
        size_t i = (s->turn + k) % s->npeers;
        struct peer *p = s->peer[i];

        if ((a->peer == LINK_PEER_ANY || a->peer == i) && p->state == PEER_READY &&
            peer_credit(p, a->box ? a->box->bytes : 0) && (!a->box || peer_accepts(p, a->box->m)))
            return a->box ? box_place(s, p, a->box, e) : 1;
    }
    return a->box ? kind_taken(s, a->peer, a->box->m, e) : 0;
}

static int sock_send(struct link *l, size_t peer, struct msg **m, struct err *e)
{
    struct sock *s = (struct sock *)l;
    struct send_ask a = {peer, NULL};
    int r;

    if (peer != LINK_PEER_ANY && l->o.route == LINK_ALL)
        return err_set(e, ERR_USE, "link %s: goes to all peers, not to one", l->address);
    if (!(a.box = box_create(*m, e)))
        return -1;
    r = stage_wait(s, ask_send, &a, *m, -1, 0, e);
    if (r != 1) {
        a.box->m = NULL;
        box_unref(&a.box);
        return r < 0 ? -1
                     : err_set(e, ERR_SYS, "link %s: asked to stop while no peer takes data",
                               l->address);
    }
    *m = NULL;
    if (s->gathering <= 0)
        wake(s);
    return 0;
}

void link_flush(struct link *l)
{
    if (link_is_sock(l))
        flush((struct sock *)l);
}

static int ask_peers(struct sock *s, void *ctx, struct err *e)
{
    if (failed(s, e))
        return -1;
    return peers_present(s, PEER_READY) >= *(const size_t *)ctx;
}

static int sock_peers(struct link *l, size_t least, struct err *e)
{
    struct sock *s = (struct sock *)l;
    int r = stage_wait(s, ask_peers, &least, NULL, -1, 1, e), n;

    if (r == 2)
        return err_set(e, ERR_SYS, "link %s: asked to stop while waiting for peers", l->address);
    if (r < 0)
        return -1;
    pthread_mutex_lock(&s->mu);
    n = (int)s->npeers;
    pthread_mutex_unlock(&s->mu);
    return n;
}

static int sock_ready(struct link *l, struct err *e)
{
    struct sock *s = (struct sock *)l;
    struct send_ask a = {LINK_PEER_ANY, NULL};
    int r;

    if (credit_back(s))
        wake(s);
    event_clear(s);
    pthread_mutex_lock(&s->mu);
    r = l->dir == LINK_IN ? ask_recv(s, NULL, e) : ask_send(s, &a, e);
    pthread_mutex_unlock(&s->mu);
    /* An error behind the last message is for link_recv to tell. */
    return r < 0 && l->dir == LINK_IN ? 1 : r < 0 ? -1 : r > 0;
}

static struct pollfd sock_poll(const struct link *l)
{
    return (struct pollfd){((const struct sock *)l)->event, POLLIN, 0};
}

static int ask_end(struct sock *s, void *ctx, struct err *e)
{
    int complete = *(int *)ctx;
    size_t ended = peers_present(s, PEER_ENDED), here = peers_present(s, PEER_READY), gone = 0;

    if (failed(s, e))
        return -1;
    if (!s->ending) /* link_again says why */
        return 1;
    if (complete && s->again.count)
        return 0;
    /* one that came and left took its share, or others got it */
    for (size_t i = 0; i < s->npeers; i++)
        gone += (s->l.o.route == LINK_ALL || s->l.o.elastic) && s->peer[i]->state == PEER_GONE;
    return ended == here && (!complete || ended + gone >= s->l.o.peers);
}

static int sock_end(struct link *l, int complete, const char *why, struct err *e)
{
    struct sock *s = (struct sock *)l;
    int r;

    pthread_mutex_lock(&s->mu);
    if (s->again_due) { /* not the end: link_again says so */
        pthread_mutex_unlock(&s->mu);
        return 0;
    }
    s->ending = 1;
    s->gathering = 0;
    s->complete = complete;
    if (why)
        strncpy(s->why, why, sizeof s->why - 1);
    pthread_mutex_unlock(&s->mu);
    wake(s);
    r = stage_wait(s, ask_end, &complete, NULL, complete ? -1 : (int)(l->o.timeout_s * 1000), 0, e);
    if (r == 1)
        return 0;
    return r < 0 ? -1
                 : err_set(e, ERR_SYS, "link %s: the end of the stream was not acknowledged",
                           l->address);
}

void link_set_replay(struct link *l,
                     int (*fn)(void *ctx, uint64_t i, struct msg **m, struct err *e), void *ctx)
{
    struct sock *s = (struct sock *)l;

    if (!link_is_sock(l))
        return;
    pthread_mutex_lock(&s->mu);
    s->replay = fn;
    s->replay_ctx = ctx;
    pthread_mutex_unlock(&s->mu);
}

int link_check(struct link *l, struct err *e)
{
    struct sock *s = (struct sock *)l;
    int rc;

    if (!link_is_sock(l))
        return l->dir == LINK_OUT ? link_output_check(e) : 0;
    pthread_mutex_lock(&s->mu);
    rc = failed(s, e);
    pthread_mutex_unlock(&s->mu);
    return rc;
}

static void sock_stats(const struct link *l, struct link_stats *st)
{
    struct sock *s = (struct sock *)(uintptr_t)l;
    struct timespec t = {0};

    pthread_mutex_lock(&s->mu);
    *st = s->st;
    st->peers = peers_present(s, PEER_READY);
    pthread_mutex_unlock(&s->mu);
    if (clock_gettime(s->clock, &t) == 0)
        st->cpu_s = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    st->cpu_s += zsock_cpu(s->z);
}

static void sock_known(const struct link *l, struct link_known *k)
{
    struct sock *s = (struct sock *)(uintptr_t)l;
    size_t here = 0, elastic = 0;

    pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < s->npeers; i++) {
        const struct peer *p = s->peer[i];

        if (p->state != PEER_READY && p->state != PEER_ENDED)
            continue;
        here++;
        elastic += (size_t)p->elastic;
        k->kinds |= p->kinds;
        if (!*k->run)
            snprintf(k->run, sizeof k->run, "%s", p->run);
    }
    pthread_mutex_unlock(&s->mu);
    k->elastic = here && elastic == here;
}

static void sock_close(struct link *l)
{
    struct sock *s = (struct sock *)l;
    int linger;

    if (s->started) {
        pthread_mutex_lock(&s->mu);
        s->stop = 1;
        s->gathering = 0;
        pthread_mutex_unlock(&s->mu);
        wake(s);
        pthread_join(s->thread, NULL);
    }
    /* What is left are small control messages to peers that live; a peer that has stopped
     * reading, or none, must not hold us. */
    linger = !peers_present(s, PEER_READY) ? 0 : s->failed || sig_draining() ? 500 : 3000;
    zsock_close(&s->z, linger);
    part_release(&s->probe);
    for (size_t i = 0; i < s->npeers; i++) {
        queue_clear(&s->peer[i]->queue);
        queue_clear(&s->peer[i]->kept);
        queue_clear(&s->peer[i]->resend);
        box_unref(&s->peer[i]->held);
        accepts_release(s->peer[i]);
        free(s->peer[i]->refused);
        free(s->peer[i]);
    }
    free(s->peer);
    box_unref(&s->late);
    status_queue(-(int64_t)s->inbox.count);
    queue_clear(&s->inbox);
    queue_clear(&s->history);
    queue_clear(&s->again);
    free(s->done);
    if (s->wake >= 0)
        close(s->wake);
    if (s->event >= 0)
        close(s->event);
    pthread_mutex_destroy(&s->mu);
}

static const struct link_ops sock_ops = {sock_recv,  sock_send,  sock_peers, sock_ready, sock_end,
                                         sock_close, sock_stats, sock_known, sock_poll};

int link_is_sock(const struct link *l)
{
    return l->ops == &sock_ops;
}

/* The process group in front: a supervisor knows what it started by that. */
static int instance_make(char *out, struct err *e)
{
    unsigned char random[13];
    int n = sprintf(out, "%x-", (unsigned)getpgrp());

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_sys(e, "no random numbers");
    for (size_t i = 0; i < sizeof random; i++)
        n += sprintf(out + n, "%02x", random[i]);
    return 0;
}

/* Signals belong to the stage's thread. */
static int thread_start(struct sock *s, struct err *e)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&s->thread, NULL, sock_serve, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r)
        return err_set(e, ERR_SYS, "cannot start a thread: %s", strerror(r));
    s->started = 1;
    if (pthread_getcpuclockid(s->thread, &s->clock) != 0)
        s->clock = CLOCK_THREAD_CPUTIME_ID;
    return 0;
}

struct link *sock_open(const char *endpoint, enum link_dir dir, const struct link_opts *o,
                       struct err *e)
{
    struct sock *s = mem_array(1, sizeof *s, e);
    struct link *l = (struct link *)s;
    const char *url = endpoint + (endpoint[0] == '@');

    if (!s)
        return NULL;
    pthread_mutex_init(&s->mu, NULL);
    s->wake = s->event = -1;
    s->bound = endpoint[0] == '@';
    if (link_init(l, &sock_ops, endpoint, dir, o, e) < 0 ||
        url_check(url, s->bound, o->insecure || o->keys, e) < 0 ||
        instance_make(s->instance, e) < 0)
        goto out;
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake < 0 || s->event < 0) {
        err_sys(e, "cannot make an event counter");
        goto out;
    }
    if (!(s->z = zsock_open(url, s->bound, s->instance, l->o.limits.tensor_bytes, o->keys, e)))
        goto out;
    free(l->address);
    if (s->bound && zsock_address(s->z, 1))
        status_bound(zsock_address(s->z, 0), zsock_address(s->z, 1));
    if (!(l->address = mem_text(zsock_address(s->z, 0), e)) || thread_start(s, e) < 0)
        goto out;
    return l;
out:
    link_close(&l);
    return NULL;
}
