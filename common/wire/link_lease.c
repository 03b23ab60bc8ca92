/* SPDX-License-Identifier: Apache-2.0 */
/* link_lease - whose place can be taken by another: an end that says a place and an epoch is one of
 * a stage whose lost processes are started again, each alone, by who gave it the place.
 *
 * Its loss is no failure of a receiver that has bound: what it sent stays, and the stream goes on
 * with the next one of the same place and a higher epoch. From then on the older is told that it
 * was given up, whatever it says. What the next one sends has the names of what was lost, so who
 * counts by names counts nothing twice. */
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
    status_lost(p->instance, s->l.address);
    sock_notify(s);
    return 1;
}
