/* SPDX-License-Identifier: Apache-2.0 */
/* link_serve - the thread of a socket link: it owns the socket and does heartbeats, credit,
 * encoding and decoding, so that a stage which computes for a minute is still a living peer, and
 * so that data moves while it computes. Here: the loop, what comes in, and the clock.
 *
 * Every data message bears its number in the stream of its sender to this end. What comes twice is
 * dropped; behind a gap (a connection broke with data on its way) all is dropped until it comes
 * again. It is asked for again where nobody does it by himself, and a gap that stays is an error.
 * Pings say how much was sent, so the last one is missed too; words that ask for an answer, and
 * credit, are said again until there is one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../base/clock.h"
#include "../base/log.h"
#include "../base/status.h"
#include "link_impl.h"

#define PING_S 1.0      /* say something at least this often, */
#define PING_PART 0.25  /* and often enough in the time after which we ourselves would give up */
#define PROBE_S 0.1     /* the same after some connection broke, to learn which */
#define HELLO_S 1.0     /* hello again when nobody answers */
#define GRACE_IPC_S 1.0 /* a broken connection may come back: inside a host only by chance, */
#define GRACE_TCP_S 5.0 /* over a network often */
#define GAP_S 0.2       /* until what is missing is asked for again */
#define STALL_S 2.0     /* this thread itself stood still: nobody else is to blame */
#define BATCH 64
#define HELLO_BYTES ((size_t)64 << 10) /* the largest hello, and any other word of control */
#define SWEEP_MS 5                     /* between looks at connections that nobody knows yet */
#define FULL_S 1.0                     /* until connections are taken again */

/* It broke a rule and was told: on an elastic link that is all that comes of it. */
static void peer_broke(struct sock *s, struct peer *p, const struct err *e)
{
    if (e->kind != ERR_SYS)
        peer_drop(s, p, e);
    else
        sock_fail(s, e);
}

void peer_refuse(struct sock *s, struct peer *p, const struct err *e)
{
    peer_say_fail(s, &p->id, e->text);
    peer_broke(s, p, e);
}

void state_set(struct sock *s, struct peer *p, enum peer_state state)
{
    pthread_mutex_lock(&s->mu);
    p->state = state;
    pthread_mutex_unlock(&s->mu);
    sock_notify(s);
}

/* So many were sent up to now. */
static void sent_take(struct sock *s, struct peer *p, int64_t sent)
{
    if (s->l.dir == LINK_IN && sent > 0 && (uint64_t)sent > p->count && p->gap <= 0)
        p->gap = s->now;
}

static void end_take(struct sock *s, struct peer *p, const struct msg *m)
{
    struct err e = {0};
    char name[256];
    int complete = 1;
    int64_t sent;

    if (resume_can(s, p) && json_as_int(json_get(m->meta, "count"), &sent) == 0 &&
        (uint64_t)sent > p->count && sent > 0) {
        sent_take(s, p, sent); /* the end comes again behind them */
        return;
    }
    if (end_mark_check(m, p->count, p->sum, peer_name(s, p, name), &e) == 0) {
        p->ack_due = 1;
        state_set(s, p, PEER_ENDED);
        return;
    }
    if (json_opt_bool(m->meta, "complete", 0, &complete, "end mark", NULL) == 0 && !complete)
        p->ack_due = 1; /* it said so itself and may go */
    else if (s->l.o.elastic) {
        peer_refuse(s, p, &e);
        return;
    } else
        peer_say_fail(s, &p->id, e.text);
    if (p->ack_due && lease_lost(s, p, &e))
        return;
    state_set(s, p, PEER_GONE);
    if (s->l.o.elastic)
        /* it has told its own user; here it would stand before the cause */
        log_detail("%s; going on without it", e.text);
    else
        sock_fail(s, &e);
}

/* It is gone. Who never delivered anything may have been anybody: where others can come it is
 * forgotten. */
static void peer_left(struct sock *s, struct peer *p, enum err_kind kind, const char *why)
{
    char name[256];

    if (s->l.o.elastic || !s->bound || s->l.dir != LINK_IN || p->count || p->lease.place[0]) {
        peer_lost(s, p, kind, why);
        return;
    }
    log_warn("%s %s; it had delivered nothing and is forgotten", peer_name(s, p, name), why);
    p->given_up = 1;
    state_set(s, p, PEER_GONE);
}

static void fail_take(struct sock *s, struct peer *p, const struct msg *m)
{
    const char *text = json_as_text(json_get(m->meta, "text"));
    struct err e = {0};
    char name[256];
    int lost; /* not its word that something is wrong with the data: another try may help */

    text = text ? text : "gives no reason";
    lost = json_opt_bool(m->meta, "lost", 0, &lost, "fail", NULL) == 0 && lost;
    if (p->state == PEER_HELLO) {
        err_set(&e, lost ? ERR_SYS : ERR_USE, "%s refused us: %s", peer_name(s, p, name), text);
        sock_fail(s, &e);
        return;
    }
    if (!s->bound && lost) { /* it is there, and waits for us no more */
        err_set(&e, ERR_SYS, "%s left the stream unfinished: %s", peer_name(s, p, name), text);
        peer_drop(s, p, &e);
        return;
    }
    err_set(&e, ERR_DATA, "left the stream unfinished: %s", text);
    peer_left(s, p, lost ? ERR_SYS : ERR_DATA, e.text);
}

/* What its stage has done moves on, or not. */
static void ping_take(struct sock *s, struct peer *p, const struct msg *m)
{
    char name[256];
    int64_t work, sent;

    if (json_as_int(json_get(m->meta, "sent"), &sent) == 0)
        sent_take(s, p, sent);
    if (json_as_int(json_get(m->meta, "work"), &work) != 0 || work == p->work)
        return;
    if (p->stalled)
        log_info("%s goes on after %.0f s", peer_name(s, p, name), s->now - p->worked);
    p->work = work;
    p->worked = s->now;
    p->stalled = 0;
}

/* One that was given up may be alive: it is told so, once. */
static void absent_take(struct sock *s, struct peer *p)
{
    if (p->state == PEER_GONE && p->given_up)
        peer_say_lost(s, &p->id);
    p->given_up = 0;
}

static void message_take(struct sock *s, struct peer *p, struct msg *m)
{
    p->heard = s->now;
    if (s->bound)
        p->down = 0;
    if (m->kind == MSG_FAIL)
        fail_take(s, p, m);
    else if (m->kind == MSG_WELCOME)
        welcome_take(s, p, m);
    else if (p->state == PEER_ENDED && m->kind == MSG_END)
        p->ack_due = 1; /* the first was lost */
    else if (p->state != PEER_READY)
        absent_take(s, p);
    else if (m->kind == MSG_ACK && s->l.dir == LINK_OUT)
        ack_take(s, p, m);
    else if (m->kind == MSG_CREDIT && s->l.dir == LINK_OUT) {
        p->worked = s->now;
        credit_take(s, p, m);
    } else if (m->kind == MSG_END && s->l.dir == LINK_IN)
        end_take(s, p, m);
    else if (m->kind == MSG_LEAVE && s->l.dir == LINK_OUT)
        leave_take(s, p, m);
    else if (m->kind == MSG_PING)
        ping_take(s, p, m);
    else
        peer_lost(s, p, ERR_DATA, "sends what does not belong on this link");
    msg_destroy(&m);
}

static int is_known(const struct peer *p)
{
    return p && (p->state == PEER_READY || p->state == PEER_ENDED);
}

static void damage_take(struct sock *s, struct peer *p, const struct zid *from, struct err *e)
{
    char name[256];

    if (p && p->state == PEER_GONE) {
        absent_take(s, p);
        return;
    }
    if (!is_known(p) && s->bound) { /* a hello that was damaged comes again */
        stranger_say(s, "a message of a stranger", e->text);
        return;
    }
    p->memory_bad |= p->memory_of != 0;
    err_prefix(e, "message %llu from %s", (unsigned long long)p->count, peer_name(s, p, name));
    if (e->kind != ERR_SYS && resume_cut(s, p, e->text))
        return;
    peer_say_fail(s, from, e->text);
    e->kind = e->kind == ERR_SYS ? ERR_SYS : ERR_DATA;
    if (s->l.o.elastic && e->kind != ERR_SYS)
        peer_drop(s, p, e);
    else
        sock_fail(s, e);
}

struct incoming {
    struct sock *s;
    struct peer *p; /* NULL: a stranger */
    struct err *e;  /* that it broke a rule, not that it is damaged */
};

/* Of a stranger nothing but its hello, of others only what they may send now. */
static int is_wanted(void *ctx, const struct msg *m, size_t bytes, struct err *e)
{
    struct incoming *in = ctx;
    struct sock *s = in->s;
    int r;

    (void)e;
    if (!msg_kind_is_data(m->kind) || !is_known(in->p))
        return !msg_kind_is_data(m->kind);
    if (s->l.dir != LINK_IN)
        return 1; /* message_take says what is wrong with it */
    if (in->p->state != PEER_READY)
        return 0;
    in->p->heard = s->now;
    r = data_wanted(s, in->p, m, bytes, in->e);
    return r < 0 ? 0 : r;
}

static void decoded_take(struct sock *s, struct peer *p, const struct zid *from, struct msg *m)
{
    if (m->kind == MSG_HELLO) {
        hello_take(s, from, m);
        msg_destroy(&m);
    } else if (!p) {
        msg_destroy(&m); /* of a connection that we no longer know; it will say hello again */
    } else if (msg_kind_is_data(m->kind) && p->state == PEER_READY && s->l.dir == LINK_IN) {
        data_take(s, p, m);
    } else {
        message_take(s, p, m);
    }
}

/* One message off the socket; 0 when there was none. */
static int receive_one(struct sock *s)
{
    static const struct frame_limits small = {
        .parts = 1, .header_bytes = HELLO_BYTES, .tensor_bytes = 1, .message_bytes = HELLO_BYTES};
    struct frame_limits full = s->l.o.limits;
    const struct frame_limits *lim;
    struct err e = {0}, broken = {0};
    struct incoming in = {.s = s, .e = &broken};
    struct part *parts = NULL;
    struct msg *m = NULL;
    struct zid from;
    size_t count = 0, bytes = 0;
    int r = zsock_next(s->z, &from, &e);

    if (r <= 0)
        return 0;
    in.p = peer_of(s, &from);
    /* what a connector reaches it has chosen: data may come before its welcome, and come again */
    lim = !s->bound || (is_known(in.p) && s->l.dir == LINK_IN) ? &full : &small;
    full.memory_of = in.p ? in.p->memory_of : 0;
    full.reads = s->l.o.reads;
    r = zsock_recv(s->z, &parts, &count, lim, &e);
    if (r == 0)
        return 0;
    if (in.p)
        in.p->fd = zsock_from(s->z);
    for (size_t i = 0; i < count; i++)
        bytes += parts[i].bytes;
    if (r > 0)
        r = frame_decode_if(parts, count, lim, is_wanted, &in, &m, &e);
    free(parts);
    pthread_mutex_lock(&s->mu);
    s->st.bytes_wire += bytes;
    status_received(bytes);
    pthread_mutex_unlock(&s->mu);
    if (broken.kind)
        peer_refuse(s, in.p, &broken);
    else if (r < 0)
        damage_take(s, in.p, &from, &e);
    else if (m)
        decoded_take(s, in.p, &from, m);
    else if (in.p)
        absent_take(s, in.p);
    return 1;
}

/* A connector says hello after each connection, until somebody answers. Without one it would
 * only pile up. */
static void hello_tick(struct sock *s)
{
    if (s->bound || !s->npeers || s->hello_at <= 0 || s->now < s->hello_at || s->failed)
        return;
    s->hello_at = s->now + (hello_send(s, s->peer[0], MSG_HELLO) == ZS_OK ? HELLO_S : PROBE_S);
}

static double ping_s(const struct sock *s)
{
    return s->l.o.timeout_s * PING_PART < PING_S ? s->l.o.timeout_s * PING_PART : PING_S;
}

/* And what would be an answer, if it was lost. */
static void ping_send(struct sock *s, struct peer *p)
{
    struct msg *m = peer_control_new(s, MSG_PING);
    const int64_t sent = s->l.dir == LINK_OUT ? resume_sent(s, p) : -1;

    if (m && (json_set_int(m->meta, "work", (int64_t)status_work()) != 0 ||
              (sent >= 0 && json_set_int(m->meta, "sent", sent) != 0)))
        msg_destroy(&m); /* no memory: the next one */
    peer_say(s, p, m);
    p->told_received = UINT64_MAX;
    p->end_again = p->end_sent;
}

/* After so long without a word to it. */
static double quiet_s(const struct sock *s, const struct peer *p)
{
    return p->down > 0 || s->now < s->probe_until ? PROBE_S : ping_s(s);
}

static double grace_s(const struct sock *s)
{
    return strstr(s->l.endpoint, "tcp://") ? GRACE_TCP_S : GRACE_IPC_S;
}

static void gap_tick(struct sock *s, struct peer *p)
{
    char name[256];
    struct err e = {0};

    if (p->gap <= 0 || s->now - p->gap <= GAP_S || s->hello_at > 0) /* or it is on its way */
        return;
    err_set(&e, ERR_DATA, "message %llu of %s is lost: later ones came",
            (unsigned long long)p->count, peer_name(s, p, name));
    if (!resume_cut(s, p, e.text) && s->now - p->gap > grace_s(s))
        peer_refuse(s, p, &e);
}

/* Its link answers, but its stage does nothing. */
static void stall_tick(struct sock *s, struct peer *p)
{
    char name[256];

    if (p->work < 0 || p->stalled || s->now - p->worked <= s->l.o.stall_s || status_watched())
        return;
    p->stalled = 1;
    log_warn("%s answers, but has done nothing for %.0f s: it is at one long step, or stuck",
             peer_name(s, p, name), s->now - p->worked);
}

static void peer_tick(struct sock *s, struct peer *p)
{
    char why[128];

    if (p->state != PEER_READY || (p->awaited && p->down > 0))
        return;
    if (p->down > 0 && s->now - p->down > grace_s(s)) {
        peer_left(s, p, ERR_SYS, "is gone: its connection broke before the end of the stream");
        return;
    }
    gap_tick(s, p);
    if (p->state != PEER_READY)
        return;
    if (s->now - p->heard > s->l.o.timeout_s) {
        snprintf(why, sizeof why, "is dead: not a sign of life for %.0f s", s->now - p->heard);
        peer_left(s, p, ERR_SYS, why);
        return;
    }
    if (s->now - p->sent >= quiet_s(s, p) && (s->bound || p->down <= 0))
        ping_send(s, p);
    stall_tick(s, p);
}

/* Until the next ping is due. */
static int ping_ms(const struct sock *s, const struct peer *p)
{
    const double left = p->sent + quiet_s(s, p) - s->now;

    return left > 0 ? (int)(left * 1000) + 1 : 100; /* or it could not be sent */
}

static int tick_ms(const struct sock *s)
{
    int ms = s->hello_at > 0 || s->now < s->probe_until || s->full_at > 0
                 ? 100
                 : (int)(ping_s(s) * 1000) + 1;

    if (zsock_strangers(s->z))
        return SWEEP_MS;

    for (size_t i = 0; i < s->npeers; i++) {
        const struct peer *p = s->peer[i];
        const int late = s->l.o.credit_late && p->out_messages,
                  due = p->down > 0 || p->gap > 0 || late ? 100 : ping_ms(s, p);

        if (p->state == PEER_READY && due < ms)
            ms = due;
    }
    return ms;
}

/* Connections came or went. */
static void change_take(struct sock *s, int bits)
{
    if (s->bound) {
        if (bits & ZS_DOWN)
            s->probe_until = s->now + 10 * PROBE_S;
        return;
    }
    if (bits & ZS_DOWN)
        s->hello_at = 0;
    if ((bits & ZS_DOWN) && s->peer[0]->down <= 0)
        s->peer[0]->down = s->now;
    if (bits & ZS_UP) {
        s->hello_at = s->now;
        s->connection++;
    }
}

/* Time in which this thread stood still (a suspended machine, a debugger) is not held against
 * the peers. */
static void clock_tick(struct sock *s)
{
    double now = clock_wall(), gap = now - s->now;

    for (size_t i = 0; gap > STALL_S && i < s->npeers; i++) {
        s->peer[i]->heard += gap;
        s->peer[i]->worked += gap;
        s->peer[i]->down += s->peer[i]->down > 0 ? gap : 0;
        s->peer[i]->gap += s->peer[i]->gap > 0 ? gap : 0;
        s->peer[i]->hand_since += gap;
    }
    s->now = now;
}

/* The other ends must not wait for us. */
static void leave(struct sock *s)
{
    char text[600];

    snprintf(text, sizeof text, "%s %s", s->l.name,
             s->failed ? s->err.text : "closed the link before the end of the stream");
    for (size_t i = 0; i < s->npeers; i++)
        if (s->peer[i]->ack_due)
            peer_pump(s, s->peer[i]);
        else if (s->peer[i]->state == PEER_READY && s->peer[i]->down <= 0 && s->leaving)
            leave_send(s, s->peer[i]);
        else if (s->peer[i]->state == PEER_READY && s->peer[i]->down <= 0)
            peer_say_fail(s, &s->peer[i]->id, text);
}

/* Of a connector: the other end takes nobody with such keys, or only with some. */
static void refusal_take(struct sock *s, const struct refusal *r)
{
    struct err e = {0};

    if (s->bound) {
        stranger_say(s, r->who, r->why);
        return;
    }
    err_set(&e, ERR_USE, "%s refuses this connection: %s", s->l.address, r->why);
    if (r->final)
        sock_fail(s, &e);
    else if (!s->strange++)
        log_warn("%s", e.text);
}

/* Those who came and said nothing, or too much; and no descriptor for more of them. */
static void door_tick(struct sock *s, int bits)
{
    struct refusal r;
    struct err e = {0};

    while (bits & ZS_REFUSED && zsock_refused(s->z, &r))
        refusal_take(s, &r);

    if (zsock_sweep(s->z, s->now))
        stranger_say(s, "a connection", "it said no hello in time, or sent more than one can have");
    if (bits & ZS_FULL) {
        log_warn("%s: takes no connections for now: this process has no file descriptor left "
                 "(ulimit -n)",
                 s->l.address);
        s->full_at = s->now;
    }
    if (s->full_at > 0 && s->now - s->full_at > FULL_S)
        s->full_at = zsock_retry(s->z, &e) == 0 ? 0 : s->now;
}

static int round_serve(struct sock *s)
{
    int bits = zsock_wait(s->z, s->wake, tick_ms(s)), stop;
    uint64_t n;

    if (bits & ZS_CALLED && read(s->wake, &n, sizeof n) < 0)
        n = 0; /* another was first */
    clock_tick(s);
    change_take(s, bits);
    for (int i = 0; bits & ZS_READABLE && i < BATCH && receive_one(s); i++)
        ;
    door_tick(s, bits);
    refused_drop(s);
    overdue_tick(s);
    again_deal(s);
    hello_tick(s);
    for (size_t i = 0; i < s->npeers; i++) {
        peer_pump(s, s->peer[i]);
        peer_tick(s, s->peer[i]);
    }
    if (s->l.o.route == LINK_ALL && s->l.dir == LINK_OUT)
        history_trim(s);
    pthread_mutex_lock(&s->mu);
    stop = s->stop;
    pthread_mutex_unlock(&s->mu);
    return !stop;
}

void *sock_serve(void *sock)
{
    struct sock *s = sock;
    const struct zid nobody = {.n = 0};
    struct err e = {0};

    s->now = clock_wall();
    if (!s->bound && !peer_add(s, &nobody, PEER_HELLO, &e)) {
        sock_fail(s, &e);
        return NULL;
    }
    while (round_serve(s))
        ;
    leave(s);
    return NULL;
}
