/* SPDX-License-Identifier: Apache-2.0 */
/* fetch - see fetch.h. */
#include "fetch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../common/base/bytes.h"
#include "../common/base/clock.h"
#include "../common/base/mem.h"
#include "../common/wire/link_zmq.h"
#include "../common/wire/talk.h"
#include "copy.h"
#include "lend.h"

#define TURN_MS 50
#define ASK_S 0.1   /* between questions for the list, and for a copy that another makes */
#define AGAIN_S 5.0 /* without a byte: what is on its way may be lost */

struct fetch {
    char *dir; /* of the copies */
    uint64_t most;
    struct zsock *z;
    int stop_fd;
    pthread_t thread;
    int started;
    struct lent list;
    struct copy *copy;
    char *model;
    double asked, came;
    /* up to where file `number` is asked for; list.count: nothing is */
    size_t number;
    uint64_t ahead;
    uint64_t here; /* bytes that were there of an earlier try */
    struct err why;
    atomic_int state;
    atomic_ullong bytes, of;
};

/* ---- questions ---- */

static int ask(struct fetch *f, int64_t number, uint64_t from, struct err *e)
{
    struct msg *m = msg_create(MSG_FILE, "worker", e);

    if (m && number >= 0 &&
        (json_set_int(m->meta, "number", number) || json_set_int(m->meta, "from", (int64_t)from)))
        msg_destroy(&m);
    return talk_send(f->z, NULL, &m, e);
}

/* Keeps so many pieces on their way. */
static int ask_ahead(struct fetch *f, struct err *e)
{
    size_t number;
    uint64_t from;
    int r = ZS_OK;

    if (!copy_wants(f->copy, &number, &from))
        return 0;
    if (number != f->number || clock_wall() - f->came > AGAIN_S) {
        f->number = number;
        f->ahead = from;
        f->came = clock_wall();
    }
    while (r == ZS_OK && f->ahead < f->list.file[number].bytes &&
           f->ahead - from < LEND_AHEAD * LEND_PIECE) {
        if ((r = ask(f, (int64_t)number, f->ahead, e)) == ZS_OK)
            f->ahead += LEND_PIECE;
    }
    return r < 0 ? -1 : 0;
}

/* ---- the copy ---- */

static int done(struct fetch *f, char *model)
{
    f->model = model;
    atomic_store(&f->state, FETCH_DONE);
    return 0;
}

/* 0: it is begun, there, or another makes it. */
static int begin(struct fetch *f, struct err *e)
{
    char *model = NULL;
    int r = copy_find(f->dir, &f->list, &model, e);

    if (r > 0) {
        f->here = f->list.bytes;
        return done(f, model);
    }
    if (r < 0 || (r = copy_begin(f->dir, &f->list, &f->copy, e)) < 0)
        return -1;
    f->here = f->copy ? copy_bytes(f->copy) : 0;
    atomic_store(&f->bytes, f->here);
    atomic_store(&f->state, r ? FETCH_COPIES : FETCH_WAITS);
    f->asked = clock_wall();
    f->number = f->list.count;
    return 0;
}

static int finish_if_whole(struct fetch *f, struct err *e)
{
    size_t number;
    uint64_t from;
    char *model = NULL;
    int r;

    atomic_store(&f->bytes, copy_bytes(f->copy));
    if (copy_wants(f->copy, &number, &from))
        return 0;
    if (copy_finish(f->copy, e) < 0 || (r = copy_find(f->dir, &f->list, &model, e)) < 0)
        return -1;
    copy_close(&f->copy);
    return r ? done(f, model) : err_set(e, ERR_SYS, "the copy of the model has vanished");
}

/* ---- answers ---- */

static int list_take(struct fetch *f, const struct msg *m, struct err *e)
{
    char a[BYTES_TEXT], b[BYTES_TEXT];
    int64_t counted = 0, of = 0;

    if (!json_has(m->meta, "files")) {
        if (json_need_int(m->meta, "counted", 0, INT64_MAX, &counted, "file", e) < 0 ||
            json_need_int(m->meta, "of", 0, INT64_MAX, &of, "file", e) < 0)
            return -1;
        atomic_store(&f->bytes, (uint64_t)counted);
        atomic_store(&f->of, (uint64_t)of);
        return 0;
    }
    if (lent_read(json_get(m->meta, "files"), &f->list, e) < 0)
        return -1;
    if (f->list.bytes > f->most)
        return err_set(e, ERR_USE,
                       "the model has %s, and no more than %s are taken: raise --fetch, or give "
                       "--model DIR with a copy",
                       bytes_text((double)f->list.bytes, a), bytes_text((double)f->most, b));
    atomic_store(&f->of, f->list.bytes);
    return begin(f, e);
}

/* What is not next was asked for twice, or what was before it is lost. */
static int piece_take(struct fetch *f, const struct msg *m, struct err *e)
{
    const struct tensor *t = msg_need(m, "bytes", DT_U8, 1, e);
    size_t number;
    uint64_t from;
    int64_t said, at;

    if (!t || json_need_int(m->meta, "number", 0, LENT_FILES, &said, "file", e) < 0 ||
        json_need_int(m->meta, "from", 0, INT64_MAX, &at, "file", e) < 0)
        return -1;
    if (!copy_wants(f->copy, &number, &from) || (size_t)said != number || (uint64_t)at != from)
        return 0;
    f->came = clock_wall();
    if (copy_take(f->copy, t->data, (size_t)t->shape[0], e) < 0)
        return -1;
    if (copy_wants(f->copy, &number, &from) && from <= (uint64_t)at)
        f->number = f->list.count; /* another file, or this one once more */
    return finish_if_whole(f, e);
}

static int answer_take(struct fetch *f, const struct msg *m, struct err *e)
{
    const int state = atomic_load(&f->state);

    if (m->kind == MSG_FAIL)
        return err_set(e, ERR_USE, "the head does not lend it: %.400s",
                       json_text_or(m->meta, "text", "it gives no reason"));
    if (m->kind != MSG_FILE)
        return 0;
    if (state == FETCH_ASKS && !m->ntensors)
        return list_take(f, m, e);
    return state == FETCH_COPIES && m->ntensors ? piece_take(f, m, e) : 0;
}

static int turn(struct fetch *f, struct err *e)
{
    const double now = clock_wall();
    struct zid from;
    struct msg *m;
    struct refusal r;
    int got, rc = 0;

    zsock_wait(f->z, f->stop_fd, TURN_MS);
    while (zsock_refused(f->z, &r)) /* the worker's own socket says that it is */
        ;
    while (rc == 0 && (got = talk_recv_piece(f->z, &from, LEND_PIECE, &m, e)) != 0) {
        if (got < 0)
            continue; /* asked for again */
        rc = answer_take(f, m, e);
        msg_destroy(&m);
    }
    if (rc < 0)
        return -1;
    switch (atomic_load(&f->state)) {
    case FETCH_ASKS:
        if (now - f->asked < ASK_S)
            return 0;
        f->asked = now;
        return ask(f, -1, 0, e) < 0 ? -1 : 0;
    case FETCH_WAITS:
        return now - f->asked < ASK_S ? 0 : begin(f, e);
    case FETCH_COPIES:
        return ask_ahead(f, e);
    default:
        return 0;
    }
}

static void *get(void *ctx)
{
    struct fetch *f = ctx;
    struct err e = {0};
    uint64_t stop;

    while (read(f->stop_fd, &stop, sizeof stop) < 0 && atomic_load(&f->state) < FETCH_DONE)
        if (turn(f, &e) < 0) {
            f->why = e;
            atomic_store(&f->state, FETCH_FAILED);
        }
    copy_close(&f->copy);
    return NULL;
}

struct fetch *fetch_open(const struct fetch_opts *o, struct err *e)
{
    struct fetch *f = mem_array(1, sizeof *f, e);

    if (!f)
        return NULL;
    f->most = o->most;
    f->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f->stop_fd < 0)
        err_sys(e, "cannot start a thread");
    else if ((f->dir = mem_text(o->dir, e)) &&
             (f->z = zsock_open(o->url, 0, o->identity, TALK_BYTES, o->keys, e))) {
        if (pthread_create(&f->thread, NULL, get, f) == 0) {
            f->started = 1;
            return f;
        }
        err_set(e, ERR_SYS, "cannot start a thread");
    }
    fetch_close(&f);
    return NULL;
}

enum fetch_state fetch_look(struct fetch *f, uint64_t *bytes, uint64_t *of)
{
    *bytes = atomic_load(&f->bytes);
    *of = atomic_load(&f->of);
    return (enum fetch_state)atomic_load(&f->state);
}

const char *fetch_model(const struct fetch *f)
{
    return f->model;
}

uint64_t fetch_came(const struct fetch *f)
{
    return f->list.bytes - f->here;
}

const struct err *fetch_error(const struct fetch *f)
{
    return &f->why;
}

void fetch_close(struct fetch **fp)
{
    struct fetch *f = *fp;
    const uint64_t stop = 1;

    *fp = NULL;
    if (!f)
        return;
    if (f->started && write(f->stop_fd, &stop, sizeof stop) == (ssize_t)sizeof stop)
        pthread_join(f->thread, NULL);
    zsock_close(&f->z, 0);
    if (f->stop_fd >= 0)
        close(f->stop_fd);
    lent_release(&f->list);
    free(f->dir);
    free(f->model);
    free(f);
}
