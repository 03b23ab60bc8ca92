/* SPDX-License-Identifier: Apache-2.0 */
/* link_wait - a stage that waits says on whom: at once where somebody has not come, each minute
 * where all are there and nothing comes. With a supervisor the status lines say it. */
#include <stdio.h>
#include <string.h>
#include "../base/clock.h"
#include "../base/log.h"
#include "../base/status.h"
#include "link_impl.h"

#define MINUTE_S 60.0
#define NAMES_MAX 600

void wait_over(struct link *l)
{
    l->waits = l->said = 0;
}

/* The stage at the other end; before it has come, the name of the endpoint. */
static void neighbour(struct link *l, char out[32])
{
    struct sock *s = (struct sock *)l;
    const char *slash = strrchr(l->address, '/');
    size_t i = 0;

    snprintf(out, 32, "%s", slash && slash[1] ? slash + 1 : l->address);
    if (!link_is_sock(l))
        return;
    pthread_mutex_lock(&s->mu);
    while (i < s->npeers && !s->peer[i]->name[0])
        i++;
    if (i < s->npeers)
        snprintf(out, 32, "%s", s->peer[i]->name);
    pthread_mutex_unlock(&s->mu);
}

void wait_count(struct link *l, double *from)
{
    const double now = clock_wall(), spent = now - *from;
    char name[32], whom[STATUS_WHOM];

    *from = now;
    l->wait_s += spent;
    if (!status_watched())
        return;
    neighbour(l, name);
    snprintf(whom, sizeof whom, l->dir == LINK_IN ? "for %s" : "until %s takes", name);
    status_waited(whom, spent);
}

/* Those that are there and have not ended, under mu. */
static const char *names(const struct sock *s, char out[NAMES_MAX])
{
    char name[256];
    size_t n = 0;

    snprintf(out, NAMES_MAX, "somebody to come: nobody is there");
    for (size_t i = 0; i < s->npeers && n < NAMES_MAX / 2; i++)
        if (s->peer[i]->state == PEER_READY)
            n += (size_t)snprintf(out + n, NAMES_MAX - n, "%s%s", n ? ", " : "",
                                  peer_name(s, s->peer[i], name));
    return out;
}

static void missing_say(const struct sock *s, size_t present)
{
    const unsigned kinds = s->l.dir == LINK_IN ? s->l.o.takes : s->l.o.sends;
    char text[KINDS_TEXT];

    log_info("waiting at %s for %zu of %zu peers (%s)", s->l.address, s->l.o.peers - present,
             s->l.o.peers, kinds ? kinds_text(kinds, text) : "any kind");
}

void wait_explain(struct link *l, const struct msg *m)
{
    struct sock *s = (struct sock *)l;
    const double now = clock_wall();
    size_t present, takers = 0;
    char text[NAMES_MAX];
    int first;

    l->waits = l->waits > 0 ? l->waits : now;
    first = l->said <= 0;
    if (!link_is_sock(l) || now - (first ? l->waits : l->said) < (first ? PATIENCE_S : MINUTE_S))
        return;
    l->said = now;
    pthread_mutex_lock(&s->mu);
    present = peers_present(s, PEER_READY);
    for (size_t i = 0; i < s->npeers; i++)
        takers += m && s->peer[i]->state == PEER_READY && peer_accepts(s->peer[i], m);
    names(s, text);
    pthread_mutex_unlock(&s->mu);
    if (!first && status_watched())
        return;
    if (present < l->o.peers)
        missing_say(s, present);
    else if (m && !takers)
        log_warn("%s waits at %s: no peer present accepts it", m->id, l->address);
    else if (!first)
        log_info("has waited %.0f s at %s for %s", now - l->waits, l->address, text);
}
