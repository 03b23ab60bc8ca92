/* SPDX-License-Identifier: Apache-2.0 */
/* hosts - see hosts.h. */
#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/clock.h"
#include "../common/base/hash.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/base/version.h"
#include "../common/tensor/blas_cpu.h"
#include "../common/wire/link_zmq.h"
#include "../common/wire/talk.h"
#include "../common/wire/curve.h"
#include "hosts_again.h"
#include "hosts_lend.h"
#include "hosts_pace.h"
#include "hosts_url.h"
#include "hosts_state.h"
#include "hosts_work.h"
#include "supervise_state.h"

#define HOSTS_MAX 1024
#define BATCH 256
#define SILENT_S 30.0 /* without a word a worker is gone */
#define SAY_S 60.0    /* of connections that are refused so many lines, the rest is counted */
#define SAY_LINES 8
#define END_MS 2000 /* for the last words to go out */

struct hosts *hosts_open(const struct hosts_opts *o, struct err *e)
{
    struct hosts *h = mem_array(1, sizeof *h, e);

    if (!h)
        return NULL;
    h->o = *o;
    h->ports.keys = o->keys;
    if (hosts_url_read(o->listen, o->insecure || o->keys, h->ports.base, &h->ports.last, e) == 0 &&
        (h->z = zsock_open(o->listen + (o->listen[0] == '@'), 1, "", TALK_BYTES, o->keys, e)))
        return h;
    hosts_close(&h);
    return NULL;
}

void hosts_close(struct hosts **hp)
{
    struct hosts *h = *hp;

    *hp = NULL;
    if (!h)
        return;
    hosts_lend_close(h);
    zsock_close(&h->z, END_MS);
    ports_release(&h->ports);
    parts_release(&h->parts);
    free(h->host);
    hosts_waits_release(&h->waits);
    free(h);
}

const char *hosts_address(const struct hosts *h)
{
    return zsock_address(h->z, 0);
}

int hosts_listen(struct hosts *h, struct launch *plan, struct err *e)
{
    for (size_t k = 0; k < plan->count; k++)
        if (ports_give(&h->ports, &plan->process[k], e) < 0)
            return -1;
    return hosts_lend_open(h, e);
}

void hosts_bound(struct hosts *h, const char *here, const char *at)
{
    ports_bound(&h->ports, here, at);
}

/* ---- who is there ---- */

/* And knows where its model is, if it needs one. */
static size_t present(const struct hosts *h)
{
    size_t n = 0;

    for (size_t i = 0; i < h->count; i++)
        n += !h->host[i].gone && h->host[i].has_model;
    return n;
}

int hosts_are_there(const struct hosts *h)
{
    return present(h) >= h->o.wait;
}

/* Can it take part in the forward pass? That is said once where the recipe does not allow it. */
static int may_share(const struct supervise *s, struct hosts_shares *x)
{
    struct hosts *h = s->hosts;
    struct err e = {0};

    if (hosts_shares_find(s, x, &e) == 0)
        return 1;
    for (size_t i = 0; i < h->count && !h->told; i++)
        if (h->host[i].forward) {
            log_warn("workers do not take part in the forward pass: %s", e.text);
            h->told = 1;
        }
    return 0;
}

void hosts_begin(struct supervise *s)
{
    struct hosts *h = s->hosts;
    const int may = may_share(s, &h->shares);

    ports_forget(&h->ports);
    parts_clear(&h->parts);
    h->gains = (struct err){0};
    h->turn++;
    if (++h->epoch == 1)
        hosts_solvers_say(s);
    for (size_t i = 0; may && i < h->count; i++) {
        const struct host *x = &h->host[i];

        if (!hosts_may_take(h, i) || !parts_add(&h->parts, i, x->forward, h->turn, NULL))
            continue;
        h->shares.forwards += (size_t)x->forward;
        h->shares.others++;
        log_info("worker '%s' takes part with %lld forward process%s", x->name,
                 (long long)x->forward, x->forward == 1 ? "" : "es");
    }
}

int hosts_fit(const struct supervise *s, struct launch_process *p, struct err *e)
{
    struct hosts_shares x;

    if (hosts_shares_find(s, &x, NULL) < 0)
        return 0;
    return hosts_shares_fit(s, &s->hosts->shares, p, e) < 0 ? -1 : hosts_pace_give(s, p, e);
}

int hosts_lost(const struct hosts *h, struct err *e)
{
    const struct err *lost = h->gains.kind ? &h->gains : parts_lost(&h->parts);

    if (lost && e)
        *e = *lost;
    return lost != NULL;
}

const struct hosts_waits *hosts_waited(const struct hosts *h)
{
    return &h->waits;
}

int hosts_share(const struct hosts *h)
{
    return h->shares.others > 0;
}

struct json *hosts_list(const struct hosts *h)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < h->count; i++) {
        const struct host *x = &h->host[i];
        const struct hosts_part *part = parts_of(&h->parts, i);
        struct json *j = json_new_object();

        if (json_set_text(j, "name", x->name) ||
            json_set_text(j, "state",
                          x->gone         ? "gone"
                          : part          ? "at work"
                          : !x->has_model ? "gets the model"
                                          : "solves") ||
            json_set_int(j, "forward", part ? part->forwards : 0) ||
            json_set_int(j, "solve", x->solve))
            json_destroy(&j);
        if (json_push(list, j) != 0)
            json_destroy(&list);
    }
    return list;
}

static struct host *host_of(struct hosts *h, const struct zid *id)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->host[i].id.n == id->n && memcmp(h->host[i].id.data, id->data, id->n) == 0)
            return &h->host[i];
    return NULL;
}

static void say(struct hosts *h, const struct zid *to, struct msg *m)
{
    struct err e = {0};

    if (m && talk_send(h->z, to, &m, &e) < 0)
        log_warn("%s: %s", hosts_address(h), e.text);
}

static void tell_refused(struct hosts *h, const char *who, const char *why)
{
    const double now = clock_wall();

    if (now - h->refused_at > SAY_S) {
        if (h->refused > SAY_LINES)
            log_warn("%s: refused %llu connections within %.0f s", hosts_address(h),
                     (unsigned long long)h->refused, SAY_S);
        h->refused_at = now;
        h->refused = 0;
    }
    if (++h->refused <= SAY_LINES)
        log_warn("%s: refused %s: %s", hosts_address(h), who, why);
}

static void refuse(struct hosts *h, const struct zid *to, const char *text)
{
    struct msg *m = msg_create(MSG_FAIL, "head", NULL);

    tell_refused(h, "a worker", text);
    if (m && json_set_text(m->meta, "text", text) != 0)
        msg_destroy(&m);
    say(h, to, m);
}

static struct msg *ping_make(const struct supervise *s)
{
    struct msg *m = msg_create(MSG_PING, "head", NULL);

    if (m &&
        (json_set_bool(m->meta, "paused", s->watch.paused > 0) || hosts_lend_say(s, m->meta) < 0))
        msg_destroy(&m);
    return m;
}

/* Would its numbers be ours? */
static int join_check(const struct hosts *h, const struct msg *m, struct err *e)
{
    const char *name = json_need_text(m->meta, "name", "join", e),
               *version = name ? json_need_text(m->meta, "version", "join", e) : NULL,
               *kernels = version ? json_need_text(m->meta, "kernels", "join", e) : NULL;
    char here[BLAS_KIND];

    if (!kernels)
        return -1;
    if (!curve_name_fits(name)) /* it will be shown to people */
        return err_set(e, ERR_USE, "a name is letters, digits, '.', '-', '_'");
    if (strcmp(version, PTQ_VERSION) != 0)
        return err_set(e, ERR_USE, "'%.40s' is of version %.20s, the run of %s", name, version,
                       PTQ_VERSION);
    blas_kind(here);
    if (strcmp(kernels, here) != 0 && !h->o.any_kernels)
        return err_set(e, ERR_USE,
                       "'%.40s' computes with kernels %.40s, the run with %s: the last bits would "
                       "differ. Take hosts of one kind, or give ptq run and ptq worker the same "
                       "OPENBLAS_CORETYPE, or say --kernels any",
                       name, kernels, here);
    return 0;
}

static int is_named(const struct hosts *h, const struct host *x, const char *name)
{
    for (size_t i = 0; i < h->count; i++)
        if (&h->host[i] != x && !h->host[i].gone && strcmp(h->host[i].name, name) == 0)
            return 1;
    return 0;
}

/* Two that are there have not the same name: the second of "b" is "b.2". */
static void name_give(const struct hosts *h, struct host *x, const char *name)
{
    char other[sizeof x->name];

    snprintf(other, sizeof other, "%s", name);
    for (size_t n = 2; is_named(h, x, other); n++)
        snprintf(other, sizeof other, "%.40s.%zu", name, n);
    if (strcmp(other, name) != 0)
        log_warn("there is a worker '%.60s' already: this one is called '%s'", name, other);
    snprintf(x->name, sizeof x->name, "%s", other);
}

static void join_take(const struct supervise *s, const struct zid *id, const struct msg *m)
{
    struct hosts *h = s->hosts;
    struct host *x = host_of(h, id);
    struct err e = {0};
    int64_t solve = 0, forward = 0;
    char here[BLAS_KIND];
    double pace;

    if (join_check(h, m, &e) < 0 ||
        json_need_int(m->meta, "solve", 0, HOSTS_MAX, &solve, "join", &e) < 0 ||
        json_need_int(m->meta, "forward", 0, HOSTS_MAX, &forward, "join", &e) < 0 ||
        json_need_real(m->meta, "pace", &pace, "join", &e) < 0) {
        refuse(h, id, e.text);
        return;
    }
    if (!x && (h->count == HOSTS_MAX ||
               mem_grow((void **)&h->host, &h->room, h->count + 1, sizeof *h->host, &e) < 0)) {
        refuse(h, id, "the run has no room for more workers");
        return;
    }
    zsock_admit(h->z);
    if (!x) {
        x = &h->host[h->count++];
        *x = (struct host){.id = *id, .gone = 1};
    }
    if (x->gone) {
        x->joined = clock_wall();
        name_give(h, x, json_text_or(m->meta, "name", ""));
        log_info("worker '%s' has joined: it offers %lld forward, %lld solve", x->name,
                 (long long)forward, (long long)solve);
    }
    snprintf(x->kernels, sizeof x->kernels, "%s", json_text_or(m->meta, "kernels", ""));
    blas_kind(here);
    if (x->gone && strcmp(x->kernels, here) != 0)
        log_warn("worker '%s' computes with kernels %s, this host with %s: the result is not "
                 "reproducible to the last bit",
                 x->name, x->kernels, here);
    x->solve = solve;
    x->pace = pace;
    x->forward = forward;
    x->gone = 0;
    x->heard = clock_wall();
    hosts_lend_heard(s, x, m->meta);
    if (!x->has_model)
        say(h, id, ping_make(s)); /* where the model is it waits to hear */
}

/* The run cannot go on until what it was doing is leased again. */
static void part_lost(struct hosts *h, const struct host *x, const char *why)
{
    struct hosts_part *part = parts_of(&h->parts, (size_t)(x - h->host));

    if (part && !part->done && part->lost.kind == ERR_NONE)
        err_set(&part->lost, ERR_SYS, "worker '%s' %.400s", x->name, why);
}

static void host_gone(struct hosts *h, struct host *x, const char *why)
{
    if (!x->gone)
        log_warn("worker '%s' %s: what it had goes to others", x->name, why);
    x->gone = 1;
    part_lost(h, x, why);
}

/* What it is to do, and a number for that which a worker says back. */
static struct msg *work_make(const struct supervise *s, const struct host *x, int64_t *number)
{
    struct hosts *h = s->hosts;
    struct json *list =
        hosts_work(s, &h->ports, h->epoch, x->solve, parts_of(&h->parts, (size_t)(x - h->host)));
    char *text = list ? json_print(list, 0, NULL) : NULL;
    struct msg *m = text ? msg_create(MSG_WORK, "head", NULL) : NULL;

    *number = text ? (int64_t)(hash_bytes(text, strlen(text)) >> 16) : 0;
    if (m && (json_set_int(m->meta, "number", *number) || json_set(m->meta, "processes", list)))
        msg_destroy(&m);
    else if (m)
        list = NULL;
    free(text);
    json_destroy(&list);
    return m;
}

/* One of its processes has failed that is not started again. */
static void failure_take(struct hosts *h, struct host *x, const struct msg *m)
{
    const char *text = json_as_text(json_get(m->meta, "failed"));
    const struct hosts_part *part = parts_of(&h->parts, (size_t)(x - h->host));
    int64_t turn = 0, code = 0;
    char why[400];

    if (!text || !part || json_as_int(json_get(m->meta, "epoch"), &turn) != 0 ||
        turn != part->turn || part->lost.kind)
        return;
    json_as_int(json_get(m->meta, "code"), &code);
    if (code == ERR_USE && !x->unfit) {
        x->unfit = 1;
        log_warn("worker '%s' cannot take part in the forward pass: %.400s", x->name, text);
    }
    snprintf(why, sizeof why, "has lost a process: %.360s", text);
    part_lost(h, x, why);
}

/* It lives, and does the work of this number. */
static void ping_take(const struct supervise *s, struct host *x, const struct msg *m)
{
    struct msg *work;
    int64_t knows = 0, wanted;

    x->heard = clock_wall();
    if (x->gone) { /* it was only silent, and another may have its name */
        char name[sizeof x->name];

        snprintf(name, sizeof name, "%s", x->name);
        name_give(s->hosts, x, name);
    }
    x->gone = 0;
    hosts_lend_heard(s, x, m->meta);
    hosts_told(s, (size_t)(x - s->hosts->host), json_get(m->meta, "processes"));
    failure_take(s->hosts, x, m);
    hosts_waits_take(&s->hosts->waits, (size_t)(x - s->hosts->host), x->name,
                     json_get(m->meta, "processes"), x->heard);
    json_as_int(json_get(m->meta, "number"), &knows);
    work = work_make(s, x, &wanted);
    if (work && knows == wanted) {
        msg_destroy(&work);
        work = ping_make(s);
    }
    say(s->hosts, &x->id, work);
}

static void message_take(const struct supervise *s, const struct zid *from, const struct msg *m)
{
    struct hosts *h = s->hosts;
    struct host *x = host_of(h, from);
    char why[300];

    if (m->kind == MSG_JOIN) {
        join_take(s, from, m);
    } else if (x && m->kind == MSG_PING) {
        ping_take(s, x, m);
    } else if (x && m->kind == MSG_LEAVE) {
        snprintf(why, sizeof why, "has left: %.200s", json_text_or(m->meta, "text", "no reason"));
        host_gone(h, x, why);
    }
}

/* A broken connection shows when something is sent by it. */
static void probe(const struct supervise *s, struct host *x, double now)
{
    struct hosts *h = s->hosts;
    struct msg *m = ping_make(s);
    struct err e = {0};

    x->probed = now;
    if (m && talk_send(h->z, &x->id, &m, &e) == ZS_GONE)
        host_gone(h, x, "has lost its connection");
}

/* At once that the run rests, or goes on; each ping says it again. */
static void rest_tell(struct supervise *s)
{
    struct hosts *h = s->hosts;
    const int rests = s->watch.paused > 0;

    for (size_t i = 0; i < h->count && h->rests != rests; i++)
        if (!h->host[i].gone)
            say(h, &h->host[i].id, ping_make(s));
    h->rests = rests;
}

/* 1: all that this client has asked to leave have left. */
static int is_drained(const struct hosts *h, uint64_t client)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->host[i].drainer == client && !h->host[i].gone)
            return 0;
    return 1;
}

static void drained_tell(struct supervise *s)
{
    struct hosts *h = s->hosts;
    char text[100];

    for (size_t i = 0; i < h->count; i++) {
        const uint64_t client = h->host[i].drainer;

        if (!client || !is_drained(h, client))
            continue;
        snprintf(text, sizeof text, "worker '%s' has left", h->host[i].name);
        for (size_t k = i; k < h->count; k++)
            if (h->host[k].drainer == client)
                h->host[k].drainer = 0;
        control_grant(s->control, client, text);
    }
}

static int drain(struct hosts *h, uint64_t client, const char *name, struct err *e)
{
    char names[256] = "";
    size_t n = 0, at = 0;

    for (size_t i = 0; i < h->count; i++) {
        struct host *x = &h->host[i];

        if (x->gone)
            continue;
        if (at < sizeof names - sizeof x->name)
            at += (size_t)snprintf(names + at, sizeof names - at, " %s", x->name);
        if (strcmp(x->name, name) != 0)
            continue;
        x->drainer = client;
        say(h, &x->id, msg_create(MSG_LEAVE, "head", NULL));
        n++;
    }
    if (n)
        return 0;
    return err_set(e, ERR_USE, "no worker '%.60s' takes part; there %s:%s", name, at ? "are" : "is",
                   at ? names : " none");
}

int hosts_request(struct supervise *s, uint64_t client, const char *cmd, const struct json *request)
{
    struct err e = {0};
    const char *name;

    if (strcmp(cmd, "drain") != 0)
        return 0;
    name = json_need_text(request, "host", "request", &e);
    if (name && !s->hosts)
        err_set(&e, ERR_USE, "the run is of one host: it was started without --listen");
    else if (name && drain(s->hosts, client, name, &e) == 0)
        return 1;
    control_refuse(s->control, client, &e);
    return 1;
}

void hosts_tick(struct supervise *s)
{
    struct hosts *h = s->hosts;
    const double now = clock_wall();
    struct err e = {0};
    struct refusal r;
    struct zid from;
    struct msg *m;

    zsock_wait(h->z, -1, 0);
    for (int i = 0, got; i < BATCH && (got = talk_recv(h->z, &from, TALK_STRANGE, &m, &e)); i++)
        if (got > 0) {
            message_take(s, &from, m);
            msg_destroy(&m);
        }
    while (zsock_refused(h->z, &r))
        tell_refused(h, r.who, r.why);
    zsock_sweep(h->z, now);
    for (size_t i = 0; i < h->count; i++) {
        struct host *x = &h->host[i];

        if (!x->gone && now - x->heard > SILENT_S)
            host_gone(h, x, "has given no sign of life for 30 s");
        else if (!x->gone && now - x->heard > HOSTS_QUIET_S && now - x->probed > 1)
            probe(s, x, now);
    }
    hosts_again_tick(s);
    rest_tell(s);
    drained_tell(s);
}

void hosts_complete(struct hosts *h)
{
    if (!h->complete)
        hosts_end(h, &(const struct err){.kind = ERR_NONE});
    h->complete = 1;
}

void hosts_end(struct hosts *h, const struct err *e)
{
    for (size_t i = 0; i < h->count; i++) {
        struct msg *m = h->host[i].gone ? NULL : msg_create(MSG_END, "head", NULL);

        if (m && (json_set_bool(m->meta, "ok", e->kind == ERR_NONE) ||
                  json_set_text(m->meta, "text", e->text)))
            msg_destroy(&m);
        say(h, &h->host[i].id, m);
    }
}
