/* SPDX-License-Identifier: Apache-2.0 */
/* link_peer - sockets, on the link's own thread: what goes out to a peer (data within its
 * credit, end mark, acknowledgement). Left out: sending again what a restarted process had; it
 * belongs into welcome_take and peer_lost. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../base/fault.h"
#include "../base/log.h"
#include "../base/mem.h"
#include "../base/status.h"
#include "link_impl.h"

#define HISTORY_BYTES ((size_t)64 << 20) /* kept for slow peers when replay can make it again */

struct encoded {
    atomic_size_t refs;
    struct part *parts;
    size_t count;
    struct box *box; /* NULL: no part borrows from the message */
};

void sock_notify(struct sock *s)
{
    uint64_t one = 1;

    if (!atomic_exchange(&s->told, 1) && write(s->event, &one, sizeof one) < 0)
        return; /* full: the stage will look anyway */
}

void sock_fail(struct sock *s, const struct err *e)
{
    pthread_mutex_lock(&s->mu);
    if (!s->failed) {
        s->failed = 1;
        s->err = *e;
    }
    pthread_mutex_unlock(&s->mu);
    sock_notify(s);
}

const char *peer_name(const struct sock *s, const struct peer *p, char out[256])
{
    const char *name = p->name[0] ? p->name : "peer";

    if (s->bound)
        snprintf(out, 256, "%s (peer %zu at %.160s)", name, p->number, s->l.address);
    else
        snprintf(out, 256, "%s at %.160s", name, s->l.address);
    return out;
}

static void encoded_release(void *owner)
{
    struct encoded *c = owner;

    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    frame_parts_free(&c->parts, &c->count);
    box_unref(&c->box);
    free(c);
}

static int parts_borrow(const struct encoded *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (!c->parts[i].release && c->parts[i].bytes)
            return 1;
    return 0;
}

/* Of tensors for which a handle travels. */
static size_t bytes_stayed(const struct msg *m, const struct encoded *c)
{
    size_t n = 0;

    for (size_t i = 0; i < m->ntensors; i++)
        n += c->parts[i + 1].data != m->tensors[i].data ? m->tensors[i].bytes : 0;
    return n;
}

/* What becomes of a message on its way. */
struct damage {
    unsigned fault; /* FAULT_* */
    uint64_t where;
};

/* Encodes and sends; b (may be NULL) is what the parts may borrow from. ZS_*; an error has been
 * kept. */
static int message_send(struct sock *s, const struct zid *to, const struct msg *m,
                        enum frame_compress how, struct box *b, struct damage d)
{
    struct err e = {0};
    struct encoded *c = mem_array(1, sizeof *c, &e);
    size_t bytes = 0, stayed, n;
    int r = -1;

    if (!c || frame_encode(m, how, &c->parts, &c->count, &e) < 0 ||
        (d.fault & (FAULT_FLIP | FAULT_CUT) &&
         frame_damage(c->parts, c->count, d.fault, d.where, &e) < 0)) {
        if (c)
            frame_parts_free(&c->parts, &c->count);
        free(c);
        sock_fail(s, &e);
        return -1;
    }
    n = c->count;
    if (b && parts_borrow(c)) {
        box_ref(b);
        c->box = b;
    }
    for (size_t i = 0; i < n; i++)
        bytes += c->parts[i].bytes;
    stayed = how == FRAME_MEMORY ? bytes_stayed(m, c) : 0;
    atomic_init(&c->refs, n + 1);
    r = zsock_send(s->z, to, c->parts, n, encoded_release, c, &e);
    if (r < 0)
        sock_fail(s, &e);
    if (r == ZS_AGAIN || r == ZS_GONE)
        atomic_fetch_sub(&c->refs, n);
    encoded_release(c);
    if (r == ZS_OK) {
        pthread_mutex_lock(&s->mu);
        s->st.bytes_wire += bytes;
        s->st.bytes_memory += stayed;
        status_sent(bytes);
        pthread_mutex_unlock(&s->mu);
    }
    return r;
}

int peer_control(struct sock *s, const struct zid *to, struct msg **m)
{
    int r = message_send(s, to, *m, FRAME_RAW, NULL, (struct damage){0});

    msg_destroy(m);
    return r;
}

/* What a send told about the connection. */
static int sent(struct sock *s, struct peer *p, int r)
{
    if (r == ZS_OK) {
        p->sent = s->now;
        if (s->bound)
            p->down = 0;
    } else if (p->down <= 0) {
        p->down = s->now;
    }
    return r;
}

struct msg *peer_control_new(struct sock *s, enum msg_kind kind)
{
    struct err e = {0};
    struct msg *m = msg_create(kind, s->l.name, &e);

    if (!m)
        sock_fail(s, &e);
    return m;
}

int peer_say(struct sock *s, struct peer *p, struct msg *m)
{
    return m ? sent(s, p, peer_control(s, &p->id, &m)) : -1;
}

void peer_say_fail(struct sock *s, const struct zid *to, const char *text)
{
    struct msg *m = peer_control_new(s, MSG_FAIL);

    if (m && json_set_text(m->meta, "text", text) == 0)
        peer_control(s, to, &m);
    msg_destroy(&m);
}

void peer_say_lost(struct sock *s, const struct zid *to)
{
    struct msg *m = peer_control_new(s, MSG_FAIL);

    if (m && json_set_text(m->meta, "text", GIVEN_UP) == 0 &&
        json_set_bool(m->meta, "lost", 1) == 0)
        peer_control(s, to, &m);
    msg_destroy(&m);
}

void peer_drop(struct sock *s, struct peer *p, const struct err *e)
{
    int elastic = s->l.o.elastic, over;

    pthread_mutex_lock(&s->mu);
    over = p->state == PEER_GONE || p->state == PEER_ENDED;
    if (!over)
        p->state = PEER_GONE;
    if (!over && elastic && s->l.dir == LINK_OUT)
        peer_empty(s, p);
    pthread_mutex_unlock(&s->mu);
    if (over)
        return;
    p->given_up = 1;
    if (elastic)
        log_warn("%s; going on without it", e->text);
    else
        sock_fail(s, e);
    sock_notify(s);
}

void peer_lost(struct sock *s, struct peer *p, enum err_kind kind, const char *why)
{
    struct err e = {0};
    char name[256];

    err_set(&e, kind, "%s %s", peer_name(s, p, name), why);
    if (!lease_awaits(s, p) && !lease_lost(s, p, &e))
        peer_drop(s, p, &e);
}

/* LINK_ALL: message i for p, from memory or made again. */
static struct box *history_take(struct sock *s, struct peer *p)
{
    struct box *b = NULL;
    struct msg *m = NULL;
    struct err e = {0};
    int there;

    pthread_mutex_lock(&s->mu);
    there = p->next < s->history.count;
    if (there && (b = s->history.at[p->next]))
        box_ref(b);
    pthread_mutex_unlock(&s->mu);
    if (b || !there)
        return b;
    if (s->replay(s->replay_ctx, p->next, &m, &e) != 0 || !m || !(b = box_create(m, &e))) {
        msg_destroy(&m);
        err_prefix(&e, "cannot send message %zu of %s again", p->next, s->l.address);
        if (s->l.o.elastic) { /* one that comes so late may; the others have what they need */
            peer_say_fail(s, &p->id, e.text);
            peer_drop(s, p, &e);
        } else {
            sock_fail(s, &e);
        }
    }
    return b;
}

/* Under mu: message i was sent to one that may still have to read it where it lies. */
static int history_read(const struct sock *s, size_t i)
{
    for (size_t k = 0; k < s->npeers; k++) {
        const struct peer *p = s->peer[k];

        if (p->state == PEER_READY && p->by_memory && i >= p->received && i < p->next)
            return 1;
    }
    return 0;
}

/* LINK_ALL with replay: forgets what all present peers have, and the oldest when slow ones hold
 * up too much. */
void history_trim(struct sock *s)
{
    size_t low = SIZE_MAX, kept = SIZE_MAX, bytes = 0, i;

    pthread_mutex_lock(&s->mu);
    for (i = 0; i < s->npeers; i++)
        if (s->peer[i]->state == PEER_READY && s->peer[i]->next < low)
            low = s->peer[i]->next;
    for (i = s->history.count; s->replay && i > s->history_low; i--) {
        struct box **b = &s->history.at[i - 1];

        bytes += *b ? (*b)->bytes : 0;
        if (*b && history_read(s, i - 1))
            kept = i - 1;
        else if (i - 1 < low || bytes > HISTORY_BYTES)
            box_unref(b);
    }
    low = kept < low ? kept : low;
    if (s->replay && low > s->history_low)
        s->history_low = low < s->history.count ? low : s->history.count;
    pthread_mutex_unlock(&s->mu);
}

/* Next message for p with its number and its credit taken, or NULL. What is sent again has both. */
static struct box *next_take(struct sock *s, struct peer *p)
{
    int all = s->l.o.route == LINK_ALL, may = 1;
    struct box *b;

    pthread_mutex_lock(&s->mu);
    b = queue_pop(&p->resend);
    pthread_mutex_unlock(&s->mu);
    if (b)
        return b;
    b = p->held;
    p->held = NULL;
    if (!b && all)
        b = history_take(s, p);
    pthread_mutex_lock(&s->mu);
    if (!b && !all && !send_gathers(s))
        b = queue_pop(&p->queue);
    if (b && all && p->next == p->count && (may = peer_credit(p, b->bytes))) {
        p->out_messages++;
        p->out_bytes += b->bytes;
    }
    if (b)
        b->seq = all ? p->next : p->count;
    pthread_mutex_unlock(&s->mu);
    if (may)
        return b;
    p->held = b;
    return NULL;
}

static void credit_undo(struct sock *s, struct peer *p, size_t bytes)
{
    pthread_mutex_lock(&s->mu);
    p->out_messages--;
    p->out_bytes -= bytes;
    pthread_mutex_unlock(&s->mu);
}

/* Not sent: as it was before next_take. */
static void data_hold(struct sock *s, struct peer *p, struct box *b)
{
    const int fresh = b->seq == p->count;

    if (fresh && s->l.o.route == LINK_ALL)
        credit_undo(s, p, b->bytes);
    if (fresh || s->l.o.route == LINK_ALL) {
        p->held = b;
        return;
    }
    pthread_mutex_lock(&s->mu);
    queue_unpop(&p->resend, b);
    pthread_mutex_unlock(&s->mu);
}

static int box_send(struct sock *s, struct peer *p, struct box *b, uint64_t seq, struct damage d)
{
    const int damaged = d.fault & (FAULT_FLIP | FAULT_CUT);

    b->m->seq = seq;
    return sent(s, p,
                message_send(s, &p->id, b->m,
                             p->by_memory && !damaged ? FRAME_MEMORY : s->l.o.compress, b, d));
}

/* As --fault has it: some of what counts as sent goes out later, twice, damaged or not at all. */
static int box_send_faulty(struct sock *s, struct peer *p, struct box *b)
{
    struct damage d = {0};
    int r = ZS_OK;

    d.fault = fault_send(&d.where);
    if (d.fault & FAULT_SWAP && !s->late) {
        box_ref(b);
        s->late = b;
        s->late_to = p;
        s->late_seq = b->seq;
        return ZS_OK;
    }
    if (!(d.fault & FAULT_DROP))
        r = box_send(s, p, b, b->seq, d);
    if (r == ZS_OK && d.fault & FAULT_TWICE)
        box_send(s, p, b, b->seq, d);
    if (r == ZS_OK && s->late && s->late_to == p) {
        box_send(s, p, s->late, s->late_seq, (struct damage){0});
        box_unref(&s->late);
    }
    return r;
}

static int data_send(struct sock *s, struct peer *p, struct box *b)
{
    struct err e = {0};
    int r = box_send_faulty(s, p, b);

    if (r != ZS_OK) {
        data_hold(s, p, b);
        return r;
    }
    p->next++;
    if (b->seq == p->count) {
        p->count++;
        p->sum += msg_checksum(b->m);
    }
    if (s->l.o.route == LINK_ALL) {
        box_unref(&b);
        return ZS_OK;
    }
    pthread_mutex_lock(&s->mu);
    r = kept_push(s, p, b, &e);
    pthread_mutex_unlock(&s->mu);
    if (r < 0)
        sock_fail(s, &e);
    return ZS_OK;
}

/* Is all that p will get on its way? Elastic: also taken by all, since a lost peer's share may
 * still come to p. */
static int end_due(struct sock *s, struct peer *p)
{
    const int shared = s->l.o.elastic && s->l.o.route == LINK_ANY;
    int due;

    pthread_mutex_lock(&s->mu);
    due = s->ending && (!p->end_sent || p->end_again);
    if (due && s->complete)
        due = !p->held && !p->queue.count && !p->resend.count && !s->again.count &&
              (s->l.o.route == LINK_ANY || p->next == s->history.count);
    for (size_t i = 0; due && s->complete && shared && i < s->npeers; i++)
        due = !s->peer[i]->kept.count && !s->peer[i]->queue.count && !s->peer[i]->resend.count &&
              !s->peer[i]->held;
    pthread_mutex_unlock(&s->mu);
    return due;
}

static void end_send(struct sock *s, struct peer *p)
{
    struct err e = {0};
    struct msg *m =
        end_mark_create(s->l.name, p->count, p->sum, s->complete, s->why[0] ? s->why : NULL, &e);

    if (!m)
        sock_fail(s, &e);
    else
        p->end_sent = sent(s, p, peer_control(s, &p->id, &m)) == ZS_OK;
    p->end_again = 0;
}

static void ack_send(struct sock *s, struct peer *p)
{
    struct msg *m = peer_control_new(s, MSG_ACK);

    if (m && json_set_int(m->meta, "count", (int64_t)p->count) == 0 && peer_say(s, p, m) == ZS_OK)
        p->ack_due = 0;
}

void peer_pump(struct sock *s, struct peer *p)
{
    struct box *b;

    if (p->ack_due && p->down <= 0)
        ack_send(s, p);
    if (p->state != PEER_READY || p->down > 0 || s->failed)
        return;
    if (s->l.dir == LINK_IN) {
        credit_send(s, p);
        return;
    }
    while ((b = next_take(s, p)))
        if (data_send(s, p, b) != ZS_OK)
            break;
    if (p->down <= 0 && end_due(s, p))
        end_send(s, p);
}
