/* SPDX-License-Identifier: Apache-2.0 */
/* link_elastic - sockets whose peers come and go: which peer accepts which message, what is kept
 * of what was sent, who gets the share of a peer that left or was lost, and the goodbye of a
 * receiver.
 *
 * A receiver that leaves says how many messages its stage has taken; those are dealt with, later
 * ones are dealt out again. One that is lost says nothing: all that is still kept of its share
 * is dealt out again. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../base/hash.h"
#include "../base/log.h"
#include "../base/mem.h"
#include "../base/plural.h"
#include "../base/status.h"
#include "link_impl.h"

#define ACCEPTS_MAX 4096
#define PATTERN_MAX 256

/* "2/3": is the key in the second of three shares? */
static int in_share(const char *pattern, const char *key)
{
    char *end;
    const unsigned long which = strtoul(pattern, &end, 10),
                        of = *end == '/' ? strtoul(end + 1, &end, 10) : 0;

    return of > 0 && *end == '\0' && hash_bytes(key, strlen(key)) % of + 1 == which;
}

int link_accepts(const char *const *patterns, size_t n, const char *key)
{
    const char *dot = strchr(key, '.');

    for (size_t i = 0; i < n; i++)
        if (in_share(patterns[i], key) || fnmatch(patterns[i], key, 0) == 0 ||
            (dot && fnmatch(patterns[i], dot + 1, 0) == 0))
            return 1;
    return n == 0;
}

const char *msg_key(const struct msg *m, char out[MSG_ID])
{
    snprintf(out, MSG_ID, "%.*s", (int)strcspn(m->id, "/"), m->id);
    return out;
}

int peer_accepts(const struct peer *p, const struct msg *m)
{
    char key[MSG_ID];

    return p->kinds & LINK_KIND(m->kind) &&
           (p->naccepts == 0 ||
            link_accepts((const char *const *)p->accepts, p->naccepts, msg_key(m, key)));
}

int accepts_check(const struct json *list, struct err *e)
{
    size_t n = json_count(list);

    if (json_kind(list) != JSON_KIND_ARRAY || n > ACCEPTS_MAX)
        return err_set(e, ERR_USE, "hello: field 'accepts' must be an array of at most %d patterns",
                       ACCEPTS_MAX);
    for (size_t i = 0; i < n; i++)
        if (!json_as_text(json_at(list, i)) || strlen(json_as_text(json_at(list, i))) > PATTERN_MAX)
            return err_set(e, ERR_USE,
                           "hello: field 'accepts' holds what is no pattern of at most %d bytes",
                           PATTERN_MAX);
    return 0;
}

void accepts_release(struct peer *p)
{
    for (size_t i = 0; i < p->naccepts; i++)
        free(p->accepts[i]);
    free(p->accepts);
    p->accepts = NULL;
    p->naccepts = 0;
}

int accepts_take(struct peer *p, const struct json *list, struct err *e)
{
    size_t n = json_count(list);

    accepts_release(p);
    if (n == 0)
        return 0;
    if (!(p->accepts = mem_array(n, sizeof *p->accepts, e)))
        return -1;
    for (; p->naccepts < n; p->naccepts++)
        if (!(p->accepts[p->naccepts] = mem_text(json_as_text(json_at(list, p->naccepts)), e)))
            return -1;
    return 0;
}

int box_done(const struct sock *s, const struct box *b)
{
    for (size_t i = 0; i < s->ndone; i++)
        if (strcmp(s->done[i], b->m->id) == 0)
            return 1;
    return 0;
}

static void box_again(struct sock *s, struct box *b)
{
    struct err e = {0};

    if (!b)
        return;
    if (!box_done(s, b) && queue_push(&s->again, b, &e) == 0)
        return;
    box_unref(&b);
    if (!e.text[0])
        return;
    if (!s->failed)
        s->err = e;
    s->failed = 1;
}

void peer_empty(struct sock *s, struct peer *p)
{
    struct box *b;

    if (s->l.o.route == LINK_ALL) { /* the others get it anyway */
        box_unref(&p->held);
        return;
    }
    while ((b = queue_pop(&p->kept)))
        box_again(s, b);
    while ((b = queue_pop(&p->resend)))
        box_again(s, b);
    box_again(s, p->held);
    p->held = NULL;
    while ((b = queue_pop(&p->queue)))
        box_again(s, b);
}

/* The next peer, from the turn on, that may have it now. */
static struct peer *again_taker(const struct sock *s, const struct box *b)
{
    for (size_t k = 0; k < s->npeers; k++) {
        struct peer *p = s->peer[(s->turn + k) % s->npeers];

        if (p->state == PEER_READY && p->number != b->but && peer_credit(p, b->bytes) &&
            peer_accepts(p, b->m))
            return p;
    }
    return NULL;
}

/* Says once that what a lost peer left finds no taker (under mu). */
static void again_explain(struct sock *s)
{
    const struct box *stuck = NULL;

    for (size_t i = 0; i < s->again.count && !stuck; i++) {
        stuck = s->again.at[s->again.head + i];
        for (size_t k = 0; stuck && k < s->npeers; k++)
            if (s->peer[k]->state == PEER_READY && peer_accepts(s->peer[k], stuck->m))
                stuck = NULL;
    }
    if (!stuck)
        s->again_at = 0;
    else if (s->again_at == 0)
        s->again_at = s->now;
    if (stuck && s->again_at > 0 && s->now - s->again_at > PATIENCE_S) {
        log_warn("%s waits at %s: no peer present accepts it", stuck->m->id, s->l.address);
        s->again_at = -1;
    }
}

void again_deal(struct sock *s)
{
    struct err e = {0};

    pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < s->again.count && !s->failed;) {
        struct box *b = s->again.at[s->again.head + i];
        struct peer *p = again_taker(s, b);

        if (!p) {
            i++;
            continue;
        }
        queue_take(&s->again, i);
        if (queue_push(&p->queue, b, &e) < 0) {
            box_unref(&b);
            s->failed = 1;
            s->err = e;
            break;
        }
        p->out_messages++;
        p->out_bytes += b->bytes;
        s->turn = p->number + 1;
    }
    again_explain(s);
    pthread_mutex_unlock(&s->mu);
}

void link_overdue(struct link *l, double seconds)
{
    struct sock *s = (struct sock *)l;

    if (!link_is_sock(l) || !l->o.hold)
        return;
    pthread_mutex_lock(&s->mu);
    s->overdue_s = seconds;
    pthread_mutex_unlock(&s->mu);
}

/* Under mu: the first of what p was sent that nobody has covered. */
static struct box *in_hand(const struct peer *p)
{
    for (size_t i = 0; i < p->kept.count; i++)
        if (!p->kept.at[p->kept.head + i]->done)
            return p->kept.at[p->kept.head + i];
    return NULL;
}

/* Under mu. No memory: it is tried again. */
static void box_twice(struct sock *s, struct box *b, const struct peer *p)
{
    struct msg *m = msg_borrow(b->m, NULL);
    struct box *other = m ? box_create(m, NULL) : NULL;

    if (!other) {
        msg_destroy(&m);
        return;
    }
    other->but = p->number;
    other->base = b;
    box_ref(b);
    if (queue_push(&s->again, other, NULL) < 0)
        box_unref(&other);
    else
        b->twice = 1;
}

void overdue_tick(struct sock *s)
{
    char name[256];

    pthread_mutex_lock(&s->mu);
    for (size_t i = 0; s->overdue_s > 0 && i < s->npeers; i++) {
        struct peer *p = s->peer[i];
        struct box *b = p->state == PEER_READY ? in_hand(p) : NULL;

        if (!b || p->hand != b->seq + 1) {
            p->hand = b ? b->seq + 1 : 0;
            p->hand_since = s->now;
        } else if (!b->twice && s->now - p->hand_since > s->overdue_s) {
            log_warn("%s has had '%s' in hand for %.0f s: another gets it too",
                     peer_name(s, p, name), b->m->id, s->now - p->hand_since);
            box_twice(s, b, p);
        }
    }
    pthread_mutex_unlock(&s->mu);
}

static void queue_mark(struct queue *q, const char *id)
{
    for (size_t i = 0; i < q->count; i++)
        if (strcmp(q->at[q->head + i]->m->id, id) == 0)
            q->at[q->head + i]->done = 1;
}

static void queue_drop(struct queue *q)
{
    for (size_t i = 0; i < q->count;) {
        struct box *b = q->at[q->head + i];

        if (!b->done) {
            i++;
            continue;
        }
        queue_take(q, i);
        box_unref(&b);
    }
}

int link_done(struct link *l, const char *id, struct err *e)
{
    struct sock *s = (struct sock *)l;
    uint64_t one = 1;
    int rc;

    if (!link_is_sock(l) || !l->o.hold)
        return 0;
    pthread_mutex_lock(&s->mu);
    rc = mem_grow((void **)&s->done, &s->done_room, s->ndone + 1, sizeof *s->done, e);
    if (rc == 0) {
        snprintf(s->done[s->ndone++], MSG_ID, "%s", id);
        queue_mark(&s->again, id);
        queue_drop(&s->again);
        for (size_t i = 0; i < s->npeers; i++) {
            queue_mark(&s->peer[i]->kept, id);
            kept_trim(s, s->peer[i]);
        }
    }
    pthread_mutex_unlock(&s->mu);
    if (write(s->wake, &one, sizeof one) < 0)
        return rc; /* full: it is awake anyway */
    return rc;
}

void link_leave(struct link *l)
{
    struct sock *s = (struct sock *)l;

    if (!link_is_sock(l) || l->dir != LINK_IN)
        return;
    pthread_mutex_lock(&s->mu);
    s->leaving = 1;
    pthread_mutex_unlock(&s->mu);
}

/* Under mu: what it has sent and nobody has taken. */
static void inbox_forget(struct sock *s, size_t peer)
{
    for (size_t i = 0; i < s->inbox.count;) {
        struct box *b = s->inbox.at[s->inbox.head + i];

        if (b->peer != peer) {
            i++;
            continue;
        }
        queue_take(&s->inbox, i);
        status_queue(-1);
        box_unref(&b);
    }
}

int link_refuse(struct link *l, struct err *e)
{
    struct sock *s = (struct sock *)l;
    uint64_t one = 1;
    struct peer *p;
    char *why;

    if (!link_is_sock(l))
        return err_prefix(e, "%s", strcmp(l->address, "-") == 0 ? "standard input" : l->address);
    err_prefix(e, "%s", s->taken_from);
    if (!l->o.elastic) {
        sock_fail(s, e);
        return -1;
    }
    if (!(why = mem_text(e->text, e)))
        return -1;
    pthread_mutex_lock(&s->mu);
    p = s->peer[s->taken_peer];
    free(p->refused);
    p->refused = why;
    inbox_forget(s, s->taken_peer);
    pthread_mutex_unlock(&s->mu);
    if (write(s->wake, &one, sizeof one) < 0)
        return 0; /* full: it is awake anyway */
    return 0;
}

void refused_drop(struct sock *s)
{
    for (size_t i = 0; i < s->npeers; i++) {
        struct peer *p = s->peer[i];
        struct err e = {0};
        char *why;

        pthread_mutex_lock(&s->mu);
        why = p->state == PEER_GONE ? NULL : p->refused;
        if (why)
            p->refused = NULL;
        pthread_mutex_unlock(&s->mu);
        if (!why)
            continue;
        err_set(&e, ERR_USE, "%s: it is refused", why);
        peer_say_fail(s, &p->id, why);
        if (p->state == PEER_ENDED)
            log_warn("%s; going on without it", e.text);
        peer_drop(s, p, &e);
        pthread_mutex_lock(&s->mu);
        p->state = PEER_GONE;
        inbox_forget(s, i); /* what came meanwhile */
        pthread_mutex_unlock(&s->mu);
        free(why);
    }
}

void link_enough(struct link *l)
{
    struct sock *s = (struct sock *)l;

    if (!link_is_sock(l) || l->dir != LINK_IN)
        return;
    pthread_mutex_lock(&s->mu);
    s->enough = 1;
    pthread_mutex_unlock(&s->mu);
}

/* The others of its share are still there for peer_empty. */
static void taken_drop(struct sock *s, struct peer *p, uint64_t taken)
{
    pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < p->kept.count;) {
        struct box *b = p->kept.at[p->kept.head + i];

        if (b->seq >= taken) {
            i++;
            continue;
        }
        queue_take(&p->kept, i);
        box_unref(&b);
    }
    pthread_mutex_unlock(&s->mu);
}

void leave_take(struct sock *s, struct peer *p, const struct msg *m)
{
    struct err e = {0};
    int64_t taken;
    char name[256];

    if (!s->l.o.elastic || s->l.o.route != LINK_ANY) {
        peer_lost(s, p, ERR_DATA, "left the stream unfinished: it was asked to stop");
        return;
    }
    if (json_need_int(m->meta, "taken", 0, INT64_MAX, &taken, "leave", &e) < 0) {
        peer_lost(s, p, ERR_DATA, e.text);
        return;
    }
    taken_drop(s, p, (uint64_t)taken);
    pthread_mutex_lock(&s->mu);
    p->state = PEER_GONE;
    peer_empty(s, p);
    pthread_mutex_unlock(&s->mu);
    log_detail("%s has left, with %lld message%s dealt with", peer_name(s, p, name),
               (long long)taken, plural_s((uint64_t)taken));
    sock_notify(s);
}

void leave_send(struct sock *s, struct peer *p)
{
    struct msg *m = peer_control_new(s, MSG_LEAVE);

    if (!m)
        return;
    if (json_set_int(m->meta, "taken", (int64_t)p->taken) != 0)
        msg_destroy(&m);
    else
        peer_say(s, p, m);
}
