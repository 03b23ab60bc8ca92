/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles on threads: each index once, errors stop, many rounds. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/par.h"

struct count {
    unsigned char hit[1000];
    unsigned char worker_used[8];
    size_t fail_at;
};

static int tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct count *c = ctx;

    c->worker_used[worker] = 1;
    c->hit[i]++;
    if (i == c->fail_at)
        return err_set(e, ERR_DATA, "tile %zu", i);
    return 0;
}

static void test_bad(void **state)
{
    struct par *p = NULL;
    struct err e = {0};

    (void)state;
    assert_null(par_open(0, &e));
    assert_int_equal(e.kind, ERR_USE);
    assert_null(par_open(100000, &e));
    par_close(&p);
    par_close(NULL);
}

static void run(size_t threads)
{
    static struct count c;
    struct err e = {0};
    struct par *p = par_open(threads, &e);

    assert_non_null(p);
    assert_int_equal(par_threads(p), threads);
    for (size_t n = 0; n <= 1000; n += 50) {
        memset(&c, 0, sizeof c);
        c.fail_at = SIZE_MAX;
        assert_int_equal(par_for(p, n, tile, &c, &e), 0);
        for (size_t i = 0; i < 1000; i++)
            assert_int_equal(c.hit[i], i < n);
        for (size_t w = threads; w < 8; w++)
            assert_int_equal(c.worker_used[w], 0);
    }
    memset(&c, 0, sizeof c);
    c.fail_at = 3;
    assert_int_equal(par_for(p, 1000, tile, &c, &e), -1);
    assert_string_equal(e.text, "tile 3");
    assert_int_equal(par_for(p, 1000, tile, &c, NULL), -1);
    c.fail_at = SIZE_MAX;
    assert_int_equal(par_for(p, 1000, tile, &c, &e), 0); /* usable after an error */
    par_close(&p);
    assert_null(p);
}

static void test_threads(void **state)
{
    (void)state;
    run(1);
    run(2);
    run(5);
}

/* Which workers would be interrupted by SIGTERM; all wait for each other, so that each has one
 * tile. */
struct masks {
    pthread_barrier_t together;
    int open[3];
};

static int mask_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct masks *m = ctx;
    sigset_t now;

    (void)i;
    (void)e;
    pthread_barrier_wait(&m->together);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    m->open[worker] = !sigismember(&now, SIGTERM);
    return 0;
}

static void signals_come_to_the_owner_only(void **state)
{
    struct err e = {0};
    struct par *p = par_open(3, &e);
    struct masks m;

    (void)state;
    assert_int_equal(pthread_barrier_init(&m.together, NULL, 3), 0);
    assert_int_equal(par_for(p, 3, mask_tile, &m, &e), 0);
    assert_true(m.open[0]);
    assert_false(m.open[1]);
    assert_false(m.open[2]);
    pthread_barrier_destroy(&m.together);
    par_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad), cmocka_unit_test(test_threads),
                                       cmocka_unit_test(signals_come_to_the_owner_only)};

    return cmocka_run_group_tests_name("par", tests, NULL, NULL);
}
