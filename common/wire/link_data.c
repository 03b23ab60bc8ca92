/* SPDX-License-Identifier: Apache-2.0 */
/* link_data - data messages and credit: which are taken, in their turn and within what was given,
 * and what is given back for those that the stage is done with: said in totals, so that a word of
 * it that is lost does no harm. On the link's own thread, but for credit_back. */
#include "../base/fault.h"
#include "../base/status.h"
#include "link_impl.h"

enum { TOGETHER = 3 }; /* messages that go together: more gain little, and come in fits */
#define TOGETHER_BYTES ((size_t)6 << 20)
#define GATHER_S 0.4 /* for how long; where nothing wakes the link's thread, until its next tick */

static int within(const struct peer *p, size_t bytes, size_t messages)
{
    if (p->out_messages == 0)
        return 1;
    return p->out_messages < messages && p->out_bytes < p->win_bytes &&
           bytes <= p->win_bytes - p->out_bytes;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* All that is under way, and so many bytes, are no more than the window of the largest. */
static int is_small(const struct peer *p, size_t bytes)
{
    return p->win_small &&
           (double)p->out_bytes + (double)bytes <= (double)p->win_messages * (double)p->largest;
}

int peer_credit(const struct peer *p, size_t bytes)
{
    return within(p, bytes,
                  is_small(p, bytes) ? most(p->win_small, p->win_messages) : p->win_messages);
}

int send_can_wait(const struct sock *s, const struct peer *p)
{
    size_t bytes = 0, last = 0;

    for (size_t i = 0; i < p->queue.count; i++)
        bytes += last = p->queue.at[p->queue.head + i]->bytes;
    return s->l.o.send_late && p->queue.count < TOGETHER && bytes < TOGETHER_BYTES &&
           peer_credit(p, last);
}

int send_gathers(const struct sock *s)
{
    return s->gathering > 0 && s->now - s->gathering < GATHER_S;
}

/* ---- what comes in ---- */

int data_wanted(struct sock *s, struct peer *p, const struct msg *m, size_t bytes, struct err *e)
{
    struct err unsaid = {0};
    char name[256];
    int may;

    if (m->seq != p->count) {
        if (m->seq > p->count && p->gap <= 0)
            p->gap = s->now;
        return 0;
    }
    p->gap = 0;
    if (message_check(&s->l, m, "", &unsaid) < 0)
        return message_check(&s->l, m, peer_name(s, p, name), e);
    pthread_mutex_lock(&s->mu);
    /* which was the largest may be news to who took another's place here */
    may = within(p, bytes, most(p->win_small, p->win_messages));
    pthread_mutex_unlock(&s->mu);
    return may ? 1 : err_set(e, ERR_DATA, "%s sends beyond its credit", peer_name(s, p, name));
}

/* Its credit comes back at once. */
static void spare_take(struct sock *s, struct peer *p, struct msg *m)
{
    const size_t bytes = msg_bytes(m);

    msg_destroy(&m);
    pthread_mutex_lock(&s->mu);
    p->out_messages++;
    p->out_bytes += bytes;
    p->back_messages++;
    p->back_bytes += bytes;
    pthread_mutex_unlock(&s->mu);
}

void data_take(struct sock *s, struct peer *p, struct msg *m)
{
    struct err e = {0};
    struct box *b = NULL;
    int bad;

    fault_receive();
    p->count++;
    p->sum += msg_checksum(m);
    p->worked = s->now;
    if (p->spare) {
        spare_take(s, p, m);
        return;
    }
    if (!(b = box_create(m, &e))) {
        msg_destroy(&m);
        peer_refuse(s, p, &e);
        return;
    }
    b->peer = p->number;
    b->from = p->stream;
    pthread_mutex_lock(&s->mu);
    bad = queue_push(&s->inbox, b, &e) < 0;
    if (!bad) {
        p->out_messages++;
        p->out_bytes += b->bytes;
        p->largest = b->bytes > p->largest ? b->bytes : p->largest;
        status_queue(1);
    }
    pthread_mutex_unlock(&s->mu);
    if (!bad) {
        sock_notify(s);
        return;
    }
    box_unref(&b);
    peer_refuse(s, p, &e);
}

/* ---- what is given back ---- */

int credit_back(struct sock *s)
{
    struct peer *p;
    int waits;

    if (!s->taken)
        return 0;
    pthread_mutex_lock(&s->mu);
    p = s->peer[s->taken_peer];
    if (p->stream == s->taken_stream) {
        p->back_messages++;
        p->back_bytes += s->taken_bytes;
    }
    waits = credit_can_wait(s, p);
    pthread_mutex_unlock(&s->mu);
    s->taken = 0;
    return !waits;
}

/* That a message arrived is said with the credit for it: it lies where it did. */
static int receipt_can_wait(const struct peer *p)
{
    return p->memory_of && p->told_received != UINT64_MAX;
}

/* Messages like those under way for which p has credit. */
static size_t window_of(const struct peer *p)
{
    const double like = (double)p->win_messages * (double)p->largest * (double)p->out_messages;

    if (p->win_small <= p->win_messages || !p->out_bytes)
        return p->win_messages;
    if (like >= (double)p->win_small * (double)p->out_bytes)
        return p->win_small;
    return most(p->win_messages, (size_t)(like / (double)p->out_bytes));
}

int credit_can_wait(const struct sock *s, const struct peer *p)
{
    const uint64_t done = p->back_messages - p->told_messages;
    const size_t window = window_of(p);

    return s->l.o.credit_late && p->largest <= p->win_bytes &&
           p->out_bytes <= p->win_bytes - p->largest &&
           (p->out_messages < window || 2 * done < window);
}

void credit_send(struct sock *s, struct peer *p)
{
    struct msg *m;
    uint64_t messages, bytes;
    int waits;

    pthread_mutex_lock(&s->mu);
    messages = p->back_messages;
    bytes = p->back_bytes;
    waits = credit_can_wait(s, p) && s->now - p->heard < CREDIT_LATE_S;
    pthread_mutex_unlock(&s->mu);
    if (((messages == p->told_messages || waits) &&
         (p->count == p->told_received || receipt_can_wait(p))) ||
        !(m = peer_control_new(s, MSG_CREDIT)))
        return;
    if (json_set_int(m->meta, "received", (int64_t)p->count) ||
        json_set_int(m->meta, "messages", (int64_t)messages) ||
        json_set_int(m->meta, "bytes", (int64_t)bytes) ||
        (p->memory_of && json_set_bool(m->meta, "memory", 1))) {
        msg_destroy(&m);
        return;
    }
    if (peer_say(s, p, m) != ZS_OK)
        return;
    pthread_mutex_lock(&s->mu);
    p->out_messages -= (size_t)(messages - p->told_messages);
    p->out_bytes -= (size_t)(bytes - p->told_bytes);
    p->told_messages = messages;
    p->told_bytes = bytes;
    pthread_mutex_unlock(&s->mu);
    p->told_received = p->count;
}

void credit_take(struct sock *s, struct peer *p, const struct msg *m)
{
    struct err e = {0};
    int64_t received, messages, bytes;
    uint64_t n, k;

    if (json_need_int(m->meta, "received", 0, INT64_MAX, &received, "credit", &e) < 0 ||
        json_need_int(m->meta, "messages", 0, INT64_MAX, &messages, "credit", &e) < 0 ||
        json_need_int(m->meta, "bytes", 0, INT64_MAX, &bytes, "credit", &e) < 0) {
        peer_lost(s, p, ERR_DATA, e.text);
        return;
    }
    if ((uint64_t)received > p->count || messages > received) {
        peer_lost(s, p, ERR_DATA, "gives credit for messages that it was not sent");
        return;
    }
    memory_agreed(p, m->meta);
    pthread_mutex_lock(&s->mu);
    if ((uint64_t)received > p->received)
        p->received = (uint64_t)received;
    n = (uint64_t)messages > p->back_messages ? (uint64_t)messages - p->back_messages : 0;
    k = (uint64_t)bytes > p->back_bytes ? (uint64_t)bytes - p->back_bytes : 0;
    p->back_messages += n;
    p->back_bytes += k;
    p->out_messages -= n < p->out_messages ? (size_t)n : p->out_messages;
    p->out_bytes -= k < p->out_bytes ? (size_t)k : p->out_bytes;
    kept_trim(s, p);
    pthread_mutex_unlock(&s->mu);
    sock_notify(s);
}
