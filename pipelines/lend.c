/* SPDX-License-Identifier: Apache-2.0 */
/* lend - see lend.h. */
#include "lend.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../common/base/clock.h"
#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/wire/talk.h"
#include "lent.h"

#define TURN_MS 1000 /* between looks at connections that say nothing */
#define BATCH 64
#define COUNT_BYTES ((size_t)8 << 20) /* of files between two looks at the socket */
#define PEERS 1024
#define PEER_BYTES (2 * LEND_AHEAD * LEND_PIECE) /* on their way to one worker */
#define ALL_BYTES ((size_t)256 << 20)            /* and to all */
#define LAST_MS 500

struct peer {
    struct zid id;
    atomic_size_t way;
};

struct lend {
    char *model;
    struct zsock *z;
    int stop_fd;
    pthread_t thread;
    struct lent list;
    enum { LEND_IDLE, LEND_COUNTS, LEND_READY, LEND_BAD } state;
    struct err bad;
    /* of the contents of the list: file number, bytes of it, of all */
    size_t counting;
    uint64_t from, counted;
    struct digest sum;
    char *room; /* [COUNT_BYTES] */
    struct peer **peer;
    size_t peers, cap;
    atomic_ullong sent;
};

/* ---- the contents of the list ---- */

static void fail(struct lend *l, const struct err *e)
{
    l->bad = *e;
    l->state = LEND_BAD;
    log_warn("the model cannot be lent to workers without a copy: %s", e->text);
}

/* The next bytes of file number, at this offset, as many as there are of n. */
static int file_read(const struct lend *l, size_t number, uint64_t at, void *to, size_t n,
                     struct err *e)
{
    const struct lent_file *x = &l->list.file[number];
    char *path = lent_path(l->model, &l->list, number, e);
    uint64_t bytes;
    int fd = path ? fs_open(path, &bytes, e) : -1, rc = -1;

    if (fd >= 0)
        rc = bytes == x->bytes ? fs_pread_all(fd, to, n, at, path, e)
                               : err_set(e, ERR_USE, "'%s' has changed while it was lent", path);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static int count_some(struct lend *l, struct err *e)
{
    struct lent_file *x = &l->list.file[l->counting];
    const size_t n = least(x->bytes - l->from, COUNT_BYTES);

    if (l->from == 0)
        digest_start(&l->sum);
    if (file_read(l, l->counting, l->from, l->room, n, e) < 0)
        return -1;
    digest_add(&l->sum, l->room, n);
    l->from += n;
    l->counted += n;
    if (l->from < x->bytes)
        return 0;
    digest_end(&l->sum, x->digest);
    l->from = 0;
    if (++l->counting == l->list.count) {
        l->state = LEND_READY;
        free(l->room);
        l->room = NULL;
    }
    return 0;
}

static void count_begin(struct lend *l)
{
    struct err e = {0};

    if (lent_find(l->model, &l->list, &e) < 0 || !(l->room = mem_raw(COUNT_BYTES, 1, &e)))
        fail(l, &e);
    else
        l->state = LEND_COUNTS;
}

/* ---- answers ---- */

static void say(struct lend *l, struct peer *p, struct msg *m)
{
    struct err e = {0};

    if (m && talk_send_counted(l->z, &p->id, &m, &p->way, &e) < 0)
        log_warn("%s: %s", lend_address(l), e.text);
}

static void say_bad(struct lend *l, struct peer *p, const char *why)
{
    struct msg *m = msg_create(MSG_FAIL, "head", NULL);

    if (m && json_set_text(m->meta, "text", why) != 0)
        msg_destroy(&m);
    say(l, p, m);
}

static void say_list(struct lend *l, struct peer *p)
{
    struct msg *m = msg_create(MSG_FILE, "head", NULL);

    if (l->state == LEND_IDLE)
        count_begin(l);
    if (l->state == LEND_BAD)
        say_bad(l, p, l->bad.text);
    if (l->state == LEND_BAD ||
        (m && (l->state == LEND_READY ? json_set(m->meta, "files", lent_say(&l->list))
                                      : json_set_int(m->meta, "counted", (int64_t)l->counted) ||
                                            json_set_int(m->meta, "of", (int64_t)l->list.bytes))))
        msg_destroy(&m);
    say(l, p, m);
}

static void say_piece(struct lend *l, struct peer *p, size_t number, uint64_t from)
{
    const uint64_t n = least(l->list.file[number].bytes - from, LEND_PIECE);
    struct msg *m = msg_create(MSG_FILE, "head", NULL);
    struct err e = {0};
    void *to = NULL;

    if (m && (json_set_int(m->meta, "number", (int64_t)number) ||
              json_set_int(m->meta, "from", (int64_t)from) ||
              !(to = msg_add_new(m, "bytes", DT_U8, 1, &n, &e))))
        msg_destroy(&m);
    if (to && file_read(l, number, from, to, (size_t)n, &e) < 0) {
        msg_destroy(&m);
        say_bad(l, p, e.text);
    }
    if (m)
        atomic_fetch_add(&l->sent, n);
    say(l, p, m);
}

/* ---- questions ---- */

static size_t on_way(const struct lend *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->peers; i++)
        n += atomic_load(&l->peer[i]->way);
    return n;
}

/* NULL: there are too many, or no memory. */
static struct peer *peer_of(struct lend *l, const struct zid *id)
{
    struct peer *p;

    for (size_t i = 0; i < l->peers; i++)
        if (l->peer[i]->id.n == id->n && memcmp(l->peer[i]->id.data, id->data, id->n) == 0)
            return l->peer[i];
    if (l->peers == PEERS ||
        mem_grow((void **)&l->peer, &l->cap, l->peers + 1, sizeof *l->peer, NULL) < 0 ||
        !(p = mem_array(1, sizeof *p, NULL)))
        return NULL;
    p->id = *id;
    return l->peer[l->peers++] = p;
}

/* What is not answered is asked again. */
static void question_take(struct lend *l, const struct zid *id, const struct msg *m)
{
    struct peer *p = m->kind == MSG_FILE ? peer_of(l, id) : NULL;
    int64_t number, from;

    if (!p)
        return;
    zsock_admit(l->z);
    if (atomic_load(&p->way) > PEER_BYTES || on_way(l) > ALL_BYTES)
        return;
    if (!json_has(m->meta, "number"))
        say_list(l, p);
    else if (l->state == LEND_READY && json_as_int(json_get(m->meta, "number"), &number) == 0 &&
             json_as_int(json_get(m->meta, "from"), &from) == 0 && number >= 0 &&
             (uint64_t)number < l->list.count && from >= 0 &&
             (uint64_t)from < l->list.file[number].bytes)
        say_piece(l, p, (size_t)number, (uint64_t)from);
    else
        say_bad(l, p, "there are no such bytes");
}

static void *serve(void *ctx)
{
    struct lend *l = ctx;
    uint64_t stop = 0;

    while (read(l->stop_fd, &stop, sizeof stop) < 0) {
        struct refusal r;
        struct zid from;
        struct err e = {0};
        struct msg *m;

        zsock_wait(l->z, l->stop_fd, l->state == LEND_COUNTS ? 0 : TURN_MS);
        for (int i = 0, got; i < BATCH && (got = talk_recv(l->z, &from, TALK_STRANGE, &m, &e)); i++)
            if (got > 0) {
                question_take(l, &from, m);
                msg_destroy(&m);
            }
        while (zsock_refused(l->z, &r)) /* the socket of the run says who they are */
            ;
        zsock_sweep(l->z, clock_wall());
        if (l->state == LEND_COUNTS && count_some(l, &e) < 0)
            fail(l, &e);
    }
    return NULL;
}

struct lend *lend_open(const char *model, const char *url, const char *keys, struct err *e)
{
    struct lend *l = mem_array(1, sizeof *l, e);

    if (!l)
        return NULL;
    l->stop_fd = -1;
    if (!(l->model = mem_text(model, e)) || !(l->z = zsock_open(url, 1, "", TALK_STRANGE, keys, e)))
        goto out;
    if ((l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        pthread_create(&l->thread, NULL, serve, l) != 0) {
        err_set(e, ERR_SYS, "cannot start a thread");
        goto out;
    }
    return l;
out:
    if (l->stop_fd >= 0)
        close(l->stop_fd);
    zsock_close(&l->z, 0);
    free(l->model);
    free(l);
    return NULL;
}

const char *lend_address(const struct lend *l)
{
    return zsock_address(l->z, 0);
}

uint64_t lend_sent(struct lend *l)
{
    return atomic_load(&l->sent);
}

void lend_close(struct lend **lp)
{
    struct lend *l = *lp;
    const uint64_t stop = 1;

    *lp = NULL;
    if (!l)
        return;
    if (write(l->stop_fd, &stop, sizeof stop) == (ssize_t)sizeof stop)
        pthread_join(l->thread, NULL);
    zsock_close(&l->z, LAST_MS); /* counts what is on its way until then */
    close(l->stop_fd);
    for (size_t i = 0; i < l->peers; i++)
        free(l->peer[i]);
    free(l->peer);
    lent_release(&l->list);
    free(l->room);
    free(l->model);
    free(l);
}
