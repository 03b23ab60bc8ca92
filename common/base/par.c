/* SPDX-License-Identifier: Apache-2.0 */
/* par - a fixed team of threads that take indices from a counter. The caller works too, as
 * worker 0. One par_for at a time: the owner calls it from one thread. Signals are the owner's,
 * who has a stack for their handlers (sig.h). */
#include "par.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "mem.h"
#include "status.h"

typedef int (*tile_fn)(void *, size_t, size_t, struct err *);

struct seat {
    struct par *par;
    size_t worker;
};

struct par {
    size_t threads;
    pthread_t *helper;
    struct seat *seat;
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    unsigned long round; /* number of the par_for under way */
    size_t busy;         /* helpers that have not finished it */
    int closing;
    tile_fn fn;
    void *ctx;
    size_t n, next;
    int failed;
    struct err first;
};

/* The next index, or n when there is none left or a tile failed. */
static size_t take(struct par *p)
{
    size_t i;

    pthread_mutex_lock(&p->lock);
    i = p->failed ? p->n : p->next;
    if (i < p->n)
        p->next++;
    pthread_mutex_unlock(&p->lock);
    return i;
}

static void work(struct par *p, size_t worker)
{
    size_t i;

    while ((i = take(p)) < p->n) {
        struct err e = {0};

        if (worker == 0)
            status_alive();
        if (p->fn(p->ctx, i, worker, &e) == 0)
            continue;
        pthread_mutex_lock(&p->lock);
        if (!p->failed) {
            p->failed = 1;
            p->first = e;
        }
        pthread_mutex_unlock(&p->lock);
    }
}

static void *helper_main(void *arg)
{
    struct seat *s = arg;
    struct par *p = s->par;
    unsigned long seen = 0;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->closing && p->round == seen)
            pthread_cond_wait(&p->start, &p->lock);
        if (p->closing)
            break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        work(p, s->worker);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* A helper that no signal comes to. */
static int helper_start(struct seat *s, pthread_t *helper)
{
    sigset_t all, before;
    int bad;

    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return -1;
    bad = pthread_create(helper, NULL, helper_main, s);
    return pthread_sigmask(SIG_SETMASK, &before, NULL) != 0 || bad ? -1 : 0;
}

struct par *par_open(size_t threads, struct err *e)
{
    struct par *p;

    if (threads < 1 || threads > 4096) {
        err_set(e, ERR_USE, "number of threads must be 1 to 4096, not %zu", threads);
        return NULL;
    }
    p = mem_array(1, sizeof *p, e);
    if (!p)
        return NULL;
    p->threads = 1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    p->helper = mem_array(threads, sizeof *p->helper, e);
    p->seat = mem_array(threads, sizeof *p->seat, e);
    if (!p->helper || !p->seat)
        goto fail;
    while (p->threads < threads) {
        size_t w = p->threads;

        p->seat[w].par = p;
        p->seat[w].worker = w;
        if (helper_start(&p->seat[w], &p->helper[w]) != 0) {
            err_set(e, ERR_SYS, "cannot start thread %zu of %zu", w + 1, threads);
            goto fail;
        }
        p->threads++;
    }
    return p;
fail:
    par_close(&p);
    return NULL;
}

size_t par_threads(const struct par *p)
{
    return p->threads;
}

int par_for(struct par *p, size_t n, int (*fn)(void *ctx, size_t i, size_t worker, struct err *e),
            void *ctx, struct err *e)
{
    if (!p || p->threads == 1 || n < 2) {
        for (size_t i = 0; i < n; i++)
            if (fn(ctx, i, 0, e) != 0)
                return -1;
        return 0;
    }
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->ctx = ctx;
    p->n = n;
    p->next = 0;
    p->failed = 0;
    p->busy = p->threads - 1;
    p->round++;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);

    work(p, 0);

    pthread_mutex_lock(&p->lock);
    while (p->busy)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
    if (p->failed && e)
        *e = p->first;
    return p->failed ? -1 : 0;
}

void par_close(struct par **par)
{
    struct par *p = par ? *par : NULL;

    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = 1;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (size_t w = 1; w < p->threads; w++)
        pthread_join(p->helper[w], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->lock);
    free(p->seat);
    free(p->helper);
    free(p);
    *par = NULL;
}
