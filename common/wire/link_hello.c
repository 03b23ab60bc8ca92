/* SPDX-License-Identifier: Apache-2.0 */
/* link_hello - who is there: hello from the connector, welcome or fail from the binder; on the
 * link's own thread.
 *
 * Both say protocol version, name, direction, the kinds of messages they send or take, run and
 * instance (a random name of this end of this link), and whether they go on without the other; a
 * receiver also the credit it gives. Both say how far the stream is that they share
 * (link_resume.c), and an end whose place can be taken by another says which (link_lease.c). Fields
 * that are not known are passed over, so that later versions can say more. A connector says hello
 * after every connection: the same instance on the other side means the same process, another one
 * a restart. */
#include <stdlib.h>
#include <string.h>
#include "../base/log.h"
#include "../base/mem.h"
#include "../base/status.h"
#include "link_impl.h"

#define PEERS_MAX 65536
#define SAY_S 60.0
#define SAY_LINES 8 /* in this time */

struct hello {
    int64_t version, messages, bytes, small;
    const char *name, *run, *instance;
    enum link_dir dir;
    unsigned sends, takes;
    int elastic;
    const struct json *accepts;
    struct resume resume;
    struct link_lease lease;
    struct memory_offer memory;
};

static struct json *accepts_list(const struct link_opts *o)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < o->naccepts; i++)
        if (json_push(list, json_new_text(o->accepts[i])) != 0)
            json_destroy(&list);
    return list;
}

static unsigned takes_of(const struct link *l)
{
    return l->dir == LINK_OUT ? 0 : l->o.takes ? l->o.takes : LINK_EVERY_KIND;
}

int hello_send(struct sock *s, const struct peer *p, enum msg_kind kind)
{
    const struct link *l = &s->l;
    struct err e = {0};
    struct msg *m = msg_create(kind, l->name, &e);
    char run[RUN_ID];
    int bad;

    run_id_get(l->run, run);
    bad = !m || json_set_int(m->meta, "version", LINK_VERSION) ||
          json_set_text(m->meta, "name", l->name) ||
          json_set_text(m->meta, "dir", l->dir == LINK_IN ? "in" : "out") ||
          json_set(m->meta, "sends", kinds_list(l->dir == LINK_OUT ? l->o.sends : 0)) ||
          json_set(m->meta, "takes", kinds_list(takes_of(l))) ||
          json_set_bool(m->meta, "elastic", l->o.elastic) || json_set_text(m->meta, "run", run) ||
          json_set_text(m->meta, "instance", s->instance) || resume_say(s, p, m->meta) ||
          lease_say(l, m->meta) || memory_say(s, m->meta);

    if (!bad && l->dir == LINK_IN)
        bad = json_set_int(m->meta, "credit_messages", (int64_t)l->o.credit_messages) ||
              json_set_int(m->meta, "credit_bytes", (int64_t)l->o.credit_bytes) ||
              (l->o.credit_small &&
               json_set_int(m->meta, "credit_small", (int64_t)l->o.credit_small)) ||
              (l->o.naccepts && json_set(m->meta, "accepts", accepts_list(&l->o)));
    if (bad) {
        msg_destroy(&m);
        err_set(&e, ERR_SYS, "no memory to say hello");
        sock_fail(s, &e);
        return -1;
    }
    return peer_control(s, &p->id, &m);
}

static int hello_read(const struct msg *m, struct hello *h, struct err *e)
{
    const char *dir;

    if (json_need_int(m->meta, "version", 0, INT32_MAX, &h->version, "hello", e) < 0)
        return -1;
    if (h->version != LINK_VERSION)
        return err_set(e, ERR_USE, "protocol version %lld where %d is spoken",
                       (long long)h->version, LINK_VERSION);
    if (!(h->name = json_need_text(m->meta, "name", "hello", e)) ||
        !(h->run = json_need_text(m->meta, "run", "hello", e)) ||
        !(dir = json_need_text(m->meta, "dir", "hello", e)) ||
        !(h->instance = json_need_text(m->meta, "instance", "hello", e)) ||
        kinds_read(json_get(m->meta, "sends"), "sends", 1, &h->sends, e) < 0 ||
        kinds_read(json_get(m->meta, "takes"), "takes", 0, &h->takes, e) < 0 ||
        json_opt_bool(m->meta, "elastic", 0, &h->elastic, "hello", e) < 0 ||
        resume_read(m->meta, &h->resume, e) < 0 || lease_read(m->meta, &h->lease, e) < 0 ||
        memory_read(m->meta, &h->memory, e) < 0)
        return -1;
    if (strcmp(dir, "in") != 0 && strcmp(dir, "out") != 0)
        return err_set(e, ERR_USE, "hello: field 'dir' is '%.32s', must be in or out", dir);
    h->dir = dir[0] == 'i' ? LINK_IN : LINK_OUT;
    h->accepts = json_get(m->meta, "accepts");
    if (h->accepts && accepts_check(h->accepts, e) < 0)
        return -1;
    if (h->dir == LINK_OUT)
        return 0;
    return json_need_int(m->meta, "credit_messages", 1, INT32_MAX, &h->messages, "hello", e) < 0 ||
                   json_need_int(m->meta, "credit_bytes", 1, INT64_MAX, &h->bytes, "hello", e) <
                       0 ||
                   json_opt_int(m->meta, "credit_small", 0, INT32_MAX, 0, &h->small, "hello", e) < 0
               ? -1
               : 0;
}

/* Is this an other end that fits? Both ends print the same words. */
static int hello_check(const struct sock *s, const struct hello *h, struct err *e)
{
    const struct link *l = &s->l;
    const int in = l->dir == LINK_IN;
    const unsigned sends = in ? h->sends : l->o.sends, takes = in ? takes_of(l) : h->takes;
    char sent[KINDS_TEXT], taken[KINDS_TEXT];

    if (h->dir == l->dir)
        return err_set(e, ERR_USE, "both %s and %.31s want to %s on this link", l->name, h->name,
                       in ? "receive" : "send");
    if (sends & ~takes)
        return err_set(e, ERR_USE, "%.31s sends %s, but %.31s takes %s", in ? h->name : l->name,
                       kinds_text(sends, sent), in ? l->name : h->name, kinds_text(takes, taken));
    return run_id_check(l->run, h->run, 0, e); /* only what was sent says which run is going on */
}

static void hello_accept(struct sock *s, struct peer *p, const struct hello *h)
{
    struct err e = {0};
    int bad;

    pthread_mutex_lock(&s->mu);
    snprintf(p->name, sizeof p->name, "%s", h->name);
    snprintf(p->run, sizeof p->run, "%s", h->run);
    p->kinds = s->l.dir == LINK_IN ? h->sends : h->takes;
    p->elastic = h->elastic;
    p->lease = h->lease;
    snprintf(p->instance, sizeof p->instance, "%s", h->instance);
    if (s->l.dir == LINK_IN) {
        p->win_messages = s->l.o.credit_messages;
        p->win_bytes = s->l.o.credit_bytes;
        p->win_small = s->l.o.credit_small;
    } else {
        p->win_messages = (size_t)h->messages;
        p->win_bytes = (size_t)h->bytes;
        p->win_small = (size_t)h->small;
    }
    bad = accepts_take(p, h->accepts, &e);
    p->state = PEER_READY;
    pthread_mutex_unlock(&s->mu);
    if (bad)
        sock_fail(s, &e);
    p->down = 0;
    sock_notify(s);
    if (s->bound)
        status_hello(h->instance, s->l.address);
    log_detail("%s: connected to %s", s->l.address, p->name);
}

struct peer *peer_add(struct sock *s, const struct zid *id, enum peer_state state, struct err *e)
{
    struct peer *p = mem_array(1, sizeof *p, e);
    int bad;

    if (!p)
        return NULL;
    p->id = *id;
    p->state = state;
    p->heard = p->worked = s->now;
    p->work = -1;
    p->fd = -1;
    pthread_mutex_lock(&s->mu);
    bad = mem_grow((void **)&s->peer, &s->room, s->npeers + 1, sizeof *s->peer, e);
    if (!bad) {
        p->number = s->npeers;
        s->peer[s->npeers++] = p;
    }
    pthread_mutex_unlock(&s->mu);
    if (bad) {
        free(p);
        return NULL;
    }
    return p;
}

struct peer *peer_of(struct sock *s, const struct zid *id)
{
    for (size_t i = 0; i < s->npeers; i++)
        if (s->peer[i]->id.n == id->n && memcmp(s->peer[i]->id.data, id->data, id->n) == 0)
            return s->peer[i];
    return NULL;
}

/* A few in full, then how many there were. */
void stranger_say(struct sock *s, const char *what, const char *why)
{
    s->strange++;
    if (s->now - s->strange_at >= SAY_S) {
        s->strange_at = s->now;
        s->strange_lines = 0;
    }
    if (s->strange_lines++ >= SAY_LINES)
        return;
    log_warn("%s: refused %s: %s%s", s->l.address, what, why,
             s->strange_lines == SAY_LINES ? " (and so on: more is counted, not told)" : "");
    if (s->strange > SAY_LINES && s->strange_lines == 1)
        log_warn("%s: refused %llu messages and connections so far", s->l.address, s->strange);
}

void hello_take(struct sock *s, const struct zid *id, const struct msg *m)
{
    struct peer *p = peer_of(s, id);
    struct err e = {0};
    struct hello h;

    if (!s->bound)
        return;
    if (hello_read(m, &h, &e) < 0 || hello_check(s, &h, &e) < 0) {
        stranger_say(s, *m->stage ? m->stage : "a peer", e.text);
        peer_say_fail(s, id, e.text);
        return;
    }
    if (!p && lease_claim(s, &h.lease, &e) < 0) {
        log_detail("%s: %s", s->l.address, e.text);
        peer_say_fail(s, id, e.text);
        return;
    }
    if (!p && s->npeers >= PEERS_MAX) {
        stranger_say(s, *m->stage ? m->stage : "a peer", "too many have come");
        return;
    }
    zsock_admit(s->z);
    if (p && p->state == PEER_GONE) {
        peer_say_lost(s, id);
        return;
    }
    if (p && strcmp(p->instance, h.instance) != 0) {
        peer_lost(s, p, ERR_SYS, "was replaced by another process of the same name");
        return;
    }
    if (p) {
        p->heard = s->now;
        p->down = 0;
    } else if ((p = peer_add(s, id, PEER_HELLO, &e))) {
        p->spare = lease_is_spare(s, &h.lease);
        hello_accept(s, p, &h);
    } else {
        sock_fail(s, &e);
        return;
    }
    memory_take(s, p, &h.memory);
    if (h.resume.connection > p->connection) {
        const int knows = p->connection || !lease_knows_less(s);

        p->connection = h.resume.connection;
        if (knows && resume_take(s, p, &h.resume, &e) < 0) {
            peer_say_fail(s, id, e.text);
            peer_lost(s, p, ERR_DATA, e.text);
            return;
        }
    }
    hello_send(s, p, MSG_WELCOME);
}

void welcome_take(struct sock *s, struct peer *p, const struct msg *m)
{
    struct err e = {0};
    struct hello h;
    int other;

    if (s->bound || p->state == PEER_GONE || s->hello_at <= 0)
        return;
    if (hello_read(m, &h, &e) < 0 || hello_check(s, &h, &e) < 0) {
        peer_say_fail(s, &p->id, e.text);
        err_prefix(&e, "%s refused", s->l.address);
        sock_fail(s, &e);
        return;
    }
    other = p->instance[0] && strcmp(p->instance, h.instance) != 0;
    if (other && !lease_is_next(p, &h.lease) && (p->count || p->end_sent)) {
        peer_lost(s, p, ERR_SYS, "was restarted and knows nothing of this stream");
        return;
    }
    if (h.resume.connection != s->connection)
        return; /* the answer to a hello of an earlier connection */
    s->hello_at = 0;
    if (other && lease_is_next(p, &h.lease)) {
        pthread_mutex_lock(&s->mu);
        p->spare = p->state == PEER_ENDED && s->l.dir == LINK_IN;
        pthread_mutex_unlock(&s->mu);
        lease_restart(s, p);
    }
    if (p->state == PEER_HELLO || other)
        hello_accept(s, p, &h);
    memory_take(s, p, &h.memory);
    p->down = 0;
    if (resume_take(s, p, &h.resume, &e) < 0) {
        peer_say_fail(s, &p->id, e.text);
        peer_lost(s, p, ERR_DATA, e.text);
    }
}
