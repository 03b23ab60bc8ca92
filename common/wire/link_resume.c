/* SPDX-License-Identifier: Apache-2.0 */
/* link_resume - connections break and come again; the stream between two ends goes on. Hello and
 * welcome say how much has arrived, and what has not is sent again under the same numbers; the
 * receiver drops what it has. Where a message comes damaged or not at all, whoever sees it cuts the
 * connection off itself.
 *
 * A sender keeps a message until it has arrived; on an elastic link until it has been taken, with
 * hold until it is covered, for then another peer may have to do it. Left out: going on with a
 * process that was started again; it knows nothing of the stream. */
#include "link_impl.h"
#include "../base/log.h"
#include "../base/plural.h"

#define CUTS 3      /* for one message, */
#define CUTS_S 10.0 /* in this time */
#define AGAIN_S 1.0 /* for a connection to come again */

int resume_say(const struct sock *s, const struct peer *p, struct json *meta)
{
    const int in = s->l.dir == LINK_IN;

    return json_set_int(meta, "connection", s->bound ? p->connection : s->connection) ||
                   json_set_int(meta, in ? "received" : "sent", (int64_t)p->count) ||
                   (in && json_set_bool(meta, "ended", p->state == PEER_ENDED))
               ? -1
               : 0;
}

int resume_read(const struct json *meta, struct resume *r, struct err *e)
{
    *r = (struct resume){0};
    return json_opt_int(meta, "connection", 0, INT64_MAX, 0, &r->connection, "hello", e) < 0 ||
                   json_opt_int(meta, "received", 0, INT64_MAX, 0, &r->received, "hello", e) < 0 ||
                   json_opt_int(meta, "sent", 0, INT64_MAX, 0, &r->sent, "hello", e) < 0 ||
                   json_opt_bool(meta, "ended", 0, &r->ended, "hello", e) < 0
               ? -1
               : 0;
}

void kept_trim(const struct sock *s, struct peer *p)
{
    const int again = p->lease.place[0] && !s->l.o.remakes; /* the next one there is sent it */

    for (size_t i = 0; i < p->kept.count;) {
        struct box *b = p->kept.at[p->kept.head + i];
        const int over = s->l.o.hold               ? b->done
                         : s->l.o.elastic || again ? b->seq < p->back_messages
                                                   : 1;

        if (b->seq >= p->received || !over) {
            i++;
            continue;
        }
        queue_take(&p->kept, i);
        box_unref(&b);
    }
}

int kept_push(struct sock *s, struct peer *p, struct box *b, struct err *e)
{
    b->done = b->done || box_done(s, b);
    if (queue_push(&p->kept, b, e) < 0) {
        box_unref(&b);
        return -1;
    }
    kept_trim(s, p);
    return 0;
}

/* Under mu: back to message number received. */
static int rewind_to(struct sock *s, struct peer *p, uint64_t received, struct err *e)
{
    struct queue lost = {0};
    struct box *b;
    int rc = 0;

    if (received > p->received)
        p->received = received;
    if (s->l.o.route == LINK_ALL) {
        box_unref(&p->held);
        p->next = p->received;
        return 0;
    }
    for (size_t i = 0; i < p->kept.count && rc == 0;) {
        if (p->kept.at[p->kept.head + i]->seq < p->received)
            i++;
        else if ((rc = queue_push(&lost, p->kept.at[p->kept.head + i], e)) == 0)
            queue_take(&p->kept, i);
    }
    while (rc == 0 && (b = queue_pop(&p->resend)))
        if ((rc = queue_push(&lost, b, e)) < 0)
            box_unref(&b);
    queue_clear(&p->resend);
    p->resend = lost;
    kept_trim(s, p);
    return rc;
}

int resume_take(struct sock *s, struct peer *p, const struct resume *r, struct err *e)
{
    int rc;

    if (s->l.dir == LINK_IN) {
        p->gap = 0;
        p->told_received = UINT64_MAX; /* says all of it again */
        return (uint64_t)r->sent >= p->count
                   ? 0
                   : err_set(e, ERR_DATA, "has sent %lld message%s, but %llu came",
                             (long long)r->sent, plural_s((uint64_t)r->sent),
                             (unsigned long long)p->count);
    }
    if ((uint64_t)r->received > p->count)
        return err_set(e, ERR_DATA, "has received %lld message%s, but %llu %s sent",
                       (long long)r->received, plural_s((uint64_t)r->received),
                       (unsigned long long)p->count, plural_word(p->count, "was", "were"));
    pthread_mutex_lock(&s->mu);
    rc = rewind_to(s, p, (uint64_t)r->received, e);
    if (r->ended && s->ending && p->state == PEER_READY)
        p->state = PEER_ENDED;
    pthread_mutex_unlock(&s->mu);
    p->end_sent = 0;
    sock_notify(s);
    return rc;
}

int resume_can(const struct sock *s, const struct peer *p)
{
    return !s->bound || p->connection;
}

int resume_cut(struct sock *s, struct peer *p, const char *what)
{
    if (!resume_can(s, p))
        return 0;
    if (s->now - p->cut_at < AGAIN_S && p->cuts) /* of the old connection, mostly */
        return 1;
    if (p->count != p->cut_count || s->now - p->cut_at > CUTS_S)
        p->cuts = 0;
    if (p->cuts == CUTS)
        return 0;
    log_warn("%s; it is asked for again, by a new connection", what);
    p->cuts++;
    p->cut_count = p->count;
    p->cut_at = s->now;
    zsock_cut(p->fd);
    return 1;
}

int64_t resume_sent(struct sock *s, const struct peer *p)
{
    int again;

    if (s->l.o.route == LINK_ALL)
        return (int64_t)p->next;
    pthread_mutex_lock(&s->mu);
    again = p->resend.count != 0;
    pthread_mutex_unlock(&s->mu);
    return again ? -1 : (int64_t)p->count;
}

/* Of our end, or of that of the one whose place we have taken: that is none of ours. */
void ack_take(struct sock *s, struct peer *p, const struct msg *m)
{
    int64_t count;

    if (p->end_sent && json_as_int(json_get(m->meta, "count"), &count) == 0 &&
        count == (int64_t)p->count)
        state_set(s, p, PEER_ENDED);
}
