/* SPDX-License-Identifier: Apache-2.0 */
/* link_lease - whose place can be taken by another: an end that says a place and an epoch is one of
 * a stage whose lost processes are started again, each alone, by who gave it the place.
 *
 * Its loss is no failure of a receiver that has bound: what it sent stays, and the stream goes on
 * with the next one of the same place and a higher epoch. From then on the older is told that it
 * was given up, whatever it says. What the next one sends has the names of what was lost, so who
 * counts by names counts nothing twice.
 *
 * A connector waits for the next one at the place of what it had reached, and begins its stream
 * anew with it. A sender keeps what has not been taken for that; what a receiver gets again it
 * knows by its name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/log.h"
#include "../base/status.h"
#include "link_impl.h"

int link_lease_parse(const char *text, struct link_lease *lease, struct err *e)
{
    const char *slash = strrchr(text, '/');
    const size_t n = slash ? (size_t)(slash - text) : 0;
    char *end = NULL;
    long long epoch =
        slash && slash[1] >= '0' && slash[1] <= '9' ? strtoll(slash + 1, &end, 10) : -1;

    if (!n || n >= sizeof lease->place || epoch < 0 || *end || epoch == INT64_MAX)
        return err_set(e, ERR_USE,
                       "'%s' is no PLACE/EPOCH, a name of at most %zu bytes and a number", text,
                       sizeof lease->place - 1);
    *lease = (struct link_lease){.epoch = epoch};
    memcpy(lease->place, text, n);
    return 0;
}

int lease_say(const struct link *l, struct json *meta)
{
    const struct link_lease *own = l->o.lease;

    return own && own->place[0] &&
                   (json_set_text(meta, "place", own->place) ||
                    json_set_int(meta, "epoch", own->epoch))
               ? -1
               : 0;
}

int lease_read(const struct json *meta, struct link_lease *lease, struct err *e)
{
    const struct json *place = json_get(meta, "place");
    const char *text = json_as_text(place);

    *lease = (struct link_lease){0};
    if (!place)
        return 0;
    if (!text || !*text || strlen(text) >= sizeof lease->place)
        return err_set(e, ERR_USE, "hello: field 'place' must be a name of at most %zu bytes",
                       sizeof lease->place - 1);
    memcpy(lease->place, text, strlen(text));
    return json_need_int(meta, "epoch", 0, INT64_MAX, &lease->epoch, "hello", e);
}

static int same_place(const struct peer *p, const struct link_lease *lease)
{
    return lease->place[0] && strcmp(p->lease.place, lease->place) == 0;
}

/* It is told at once. */
static void place_free(struct sock *s, struct peer *p)
{
    pthread_mutex_lock(&s->mu);
    p->state = PEER_GONE;
    if (s->l.dir == LINK_OUT)
        peer_empty(s, p);
    pthread_mutex_unlock(&s->mu);
    p->given_up = 0;
    peer_say_lost(s, &p->id);
}

int lease_claim(struct sock *s, const struct link_lease *lease, struct err *e)
{
    for (size_t i = 0; i < s->npeers; i++)
        if (same_place(s->peer[i], lease) && s->peer[i]->lease.epoch >= lease->epoch)
            return err_set(e, ERR_USE, "place %s has been given to another: " GIVEN_UP,
                           lease->place);
    for (size_t i = 0; i < s->npeers; i++)
        if (same_place(s->peer[i], lease) && s->peer[i]->state == PEER_READY)
            place_free(s, s->peer[i]);
    return 0;
}

int lease_is_spare(const struct sock *s, const struct link_lease *lease)
{
    for (size_t i = 0; i < s->npeers; i++)
        if (same_place(s->peer[i], lease) && s->peer[i]->state == PEER_ENDED)
            return s->l.dir == LINK_IN;
    return 0;
}

int lease_knows_less(const struct sock *s)
{
    return s->bound && s->l.o.lease && s->l.o.lease->epoch > 0;
}

static void lost_say(const struct peer *p)
{
    char text[LINK_PLACE + 24];

    snprintf(text, sizeof text, "%s/%lld", p->lease.place, (long long)p->lease.epoch);
    status_lost(p->instance, text);
}

int lease_awaits(struct sock *s, struct peer *p)
{
    if (s->bound || !p->lease.place[0] || p->state != PEER_READY)
        return 0;
    if (p->down <= 0)
        p->down = s->now;
    if (!p->awaited)
        lost_say(p);
    pthread_mutex_lock(&s->mu);
    p->awaited = 1;
    pthread_mutex_unlock(&s->mu);
    return 1;
}

int lease_is_next(const struct peer *p, const struct link_lease *lease)
{
    return same_place(p, lease) && lease->epoch > p->lease.epoch;
}

/* Under mu: all that was not taken, in its order, as if it had never been sent. */
static int unsent(struct peer *p, struct queue *all, struct err *e)
{
    struct queue *const from[] = {&p->kept, &p->resend, &p->queue};
    struct box *b;

    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        while ((b = queue_pop(from[i])))
            if (queue_push(all, b, e) < 0) {
                box_unref(&b);
                return -1;
            }
        if (i == 1 && p->held) {
            if (queue_push(all, p->held, e) < 0)
                return -1;
            p->held = NULL;
        }
    }
    return 0;
}

/* Under mu. */
static int stream_begin(struct sock *s, struct peer *p, struct err *e)
{
    struct queue all = {0};
    const int keeps = s->l.o.route == LINK_ANY && !s->l.o.remakes,
              rc = keeps ? unsent(p, &all, e) : 0;

    box_unref(&p->held);
    queue_clear(&p->kept);
    queue_clear(&p->resend);
    queue_clear(&p->queue);
    p->queue = all;
    p->out_messages = all.count;
    p->out_bytes = 0;
    for (size_t i = 0; i < all.count; i++)
        p->out_bytes += all.at[all.head + i]->bytes;
    p->received = p->back_messages = p->back_bytes = p->taken = 0;
    p->stream++;
    p->awaited = 0;
    if (s->l.o.remakes && s->st.messages) { /* an end without any stands */
        s->ending = 0;
        s->again_due++;
    }
    return rc;
}

void lease_restart(struct sock *s, struct peer *p)
{
    struct err e = {0};
    int rc;

    pthread_mutex_lock(&s->mu);
    rc = stream_begin(s, p, &e);
    p->told_messages = p->told_bytes = 0;
    pthread_mutex_unlock(&s->mu);
    p->count = p->sum = p->next = 0;
    p->end_sent = p->end_again = p->ack_due = p->cuts = 0;
    p->gap = 0;
    p->heard = p->worked = s->now;
    sock_notify(s);
    if (rc < 0)
        sock_fail(s, &e);
}

int link_again(struct link *l)
{
    struct sock *s = (struct sock *)l;
    int due;

    if (!link_is_sock(l) || !l->o.remakes)
        return 0;
    pthread_mutex_lock(&s->mu);
    due = s->again_due > 0;
    s->again_due = 0;
    pthread_mutex_unlock(&s->mu);
    if (due)
        l->ended = 0;
    return due;
}

void link_place(struct link *l, size_t peer, char out[LINK_PLACE])
{
    struct sock *s = (struct sock *)l;

    *out = '\0';
    if (!link_is_sock(l))
        return;
    pthread_mutex_lock(&s->mu);
    if (peer < s->npeers)
        memcpy(out, s->peer[peer]->lease.place, LINK_PLACE);
    pthread_mutex_unlock(&s->mu);
}

size_t lease_awaited(const struct sock *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->npeers; i++)
        n += s->peer[i]->state == PEER_READY && s->peer[i]->awaited;
    return n;
}

int lease_lost(struct sock *s, struct peer *p, const struct err *e)
{
    if (!s->bound || s->l.dir != LINK_IN || !p->lease.place[0])
        return 0;
    if (p->state == PEER_GONE || p->state == PEER_ENDED)
        return 1;
    pthread_mutex_lock(&s->mu);
    p->state = PEER_GONE;
    pthread_mutex_unlock(&s->mu);
    p->given_up = 1;
    log_detail("%s; another is awaited at its place, %s", e->text, p->lease.place);
    lost_say(p);
    sock_notify(s);
    return 1;
}
