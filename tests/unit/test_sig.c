/* SPDX-License-Identifier: Apache-2.0 */
/* What is ignored and what is not. A signal in the middle of a product changes nothing: the handler
 * has a stack of its own. Without sig_init's, this process dies of damaged memory within a second
 * where oneDNN makes the kernels. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "../../common/base/clock.h"
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/dtype.h"

enum { T = 512, K = 576, N = 768 };

static volatile sig_atomic_t signals;

static void on_alarm(int number)
{
    volatile char frame[512]; /* what a handler does with its stack */

    (void)number;
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (char)i;
    signals += frame[1] == 1;
}

struct products {
    float *x, *w, *y, *s;
    uint16_t *h;
};

static void compute(struct par *p, struct products *v)
{
    struct err e = {0};

    assert_int_equal(blas_linear(p, T, N, K, v->x, K, v->w, K, v->y, N, 0, &e), 0);
    assert_int_equal(blas_gram(p, T, K, v->h, NULL, K, v->s, K, &e), 0);
    assert_int_equal(blas_gram(p, T, K, NULL, v->x, K, v->s, K, &e), 0);
}

static void products_init(struct products *v)
{
    *v = (struct products){
        mem_array(T * K, sizeof(float), NULL), mem_array(N * K, sizeof(float), NULL),
        mem_array(T * N, sizeof(float), NULL), mem_array(K * K, sizeof(float), NULL),
        mem_array(T * K, sizeof(uint16_t), NULL)};
    for (size_t i = 0; i < (size_t)T * K; i++) {
        v->x[i] = (float)(i % 7) - 3;
        v->h[i] = f32_to_bf16(v->x[i]);
    }
    for (size_t i = 0; i < (size_t)N * K; i++)
        v->w[i] = (float)(i % 5) - 2;
}

static void storm(long microseconds)
{
    const struct itimerval every = {{0, microseconds}, {0, microseconds}};

    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
}

static void a_signal_in_a_product_changes_nothing(void **state)
{
    struct err e = {0};
    struct sigaction a = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART}, term;
    struct par *p = par_open(2, &e);
    struct products quiet, loud;
    double start;
    stack_t now;

    (void)state;
    assert_int_equal(sig_init(&e), 0);
    assert_int_equal(sigaltstack(NULL, &now), 0);
    assert_int_equal(now.ss_flags & SS_DISABLE, 0);
    assert_int_equal(sigaction(SIGTERM, NULL, &term), 0);
    assert_true(term.sa_flags & SA_ONSTACK);
    assert_int_equal(sigaction(SIGALRM, &a, NULL), 0);
    products_init(&quiet);
    products_init(&loud);
    compute(p, &quiet);
    storm(200);
    for (start = clock_wall(); clock_wall() - start < 0.7;) {
        compute(p, &loud);
        assert_memory_equal(loud.y, quiet.y, sizeof(float) * T * N);
        assert_memory_equal(loud.s, quiet.s, sizeof(float) * K * K);
    }
    storm(0);
    assert_true(signals > 10);
    for (struct products *v = &quiet;; v = &loud) {
        free(v->x);
        free(v->w);
        free(v->y);
        free(v->s);
        free(v->h);
        if (v == &loud)
            break;
    }
    par_close(&p);
}

/* What a child says that was started to ignore these, or may write so many bytes: its exit code,
 * or minus the signal that ended it. */
static int child_of(int ignored, rlim_t bytes, int (*init)(struct err *), int (*after)(void))
{
    const struct rlimit limit = {bytes, bytes};
    struct err e = {0};
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGXFSZ, SIG_DFL);
        if (ignored)
            signal(ignored, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0 || init(&e) < 0)
            _exit(99);
        _exit(after());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int interrupted(void)
{
    raise(SIGINT);
    return sig_draining();
}

static int ended(void)
{
    raise(SIGTERM);
    return sig_draining();
}

static int grown(void)
{
    FILE *f = tmpfile();

    return !f || write(fileno(f), "12345678", 8) != 4 || write(fileno(f), "5", 1) != -1 ? 2
           : errno == EFBIG                                                             ? 3
                                                                                        : 4;
}

static int unread(void)
{
    int p[2];

    if (pipe(p) < 0 || close(p[0]) < 0)
        return 2;
    return write(p[1], "x", 1) < 0 && errno == EPIPE ? 3 : 4;
}

static void what_was_ignored_stays_so(void **state)
{
    (void)state;
    assert_int_equal(child_of(0, RLIM_INFINITY, sig_init, interrupted), 1);
    assert_int_equal(child_of(SIGINT, RLIM_INFINITY, sig_init, interrupted), 0);
    assert_int_equal(child_of(SIGINT, RLIM_INFINITY, sig_init_print, interrupted), 0);
    assert_int_equal(child_of(SIGINT, RLIM_INFINITY, sig_init, ended), 1);
    assert_int_equal(child_of(SIGTERM, RLIM_INFINITY, sig_init, ended), 0);
    assert_int_equal(child_of(SIGTERM, RLIM_INFINITY, sig_init_end, ended), 0);
    assert_int_equal(child_of(0, RLIM_INFINITY, sig_init_end, ended), -SIGTERM);
}

static void a_write_that_fails_says_so_itself(void **state)
{
    (void)state;
    assert_int_equal(child_of(0, 4, sig_init, grown), 3);
    assert_int_equal(child_of(0, 4, sig_init_print, grown), 3);
    assert_int_equal(child_of(0, 4, sig_init_end, grown), 3);
    assert_int_equal(child_of(0, RLIM_INFINITY, sig_init, unread), 3);
    assert_int_equal(child_of(0, RLIM_INFINITY, sig_init_print, unread), -SIGPIPE);
    assert_int_equal(child_of(SIGPIPE, RLIM_INFINITY, sig_init_print, unread), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_ignored_stays_so),
                                       cmocka_unit_test(a_write_that_fails_says_so_itself),
                                       cmocka_unit_test(a_signal_in_a_product_changes_nothing)};
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("sig", tests, NULL, NULL);
}
