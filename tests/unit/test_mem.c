/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation: sizes that overflow are refused, growth keeps what is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/mem.h"

static void test_overflow(void **state)
{
    struct err e = {0};
    size_t out = 7, cap = 0;
    void *p = NULL;

    (void)state;
    assert_int_equal(mem_mul(SIZE_MAX, 2, &out), -1);
    assert_int_equal(out, 7);
    assert_null(mem_array(SIZE_MAX / 2, 4, &e));
    assert_int_equal(e.kind, ERR_SYS);
    assert_non_null(strstr(e.text, "x 4 bytes"));
    assert_null(mem_raw(SIZE_MAX - 3, 1, &e));
    assert_null(mem_raw(SIZE_MAX, SIZE_MAX, NULL));
    assert_int_equal(mem_grow(&p, &cap, SIZE_MAX, 16, &e), -1);
    assert_null(p);
    assert_int_equal(cap, 0);
}

static void test_good(void **state)
{
    size_t cap = 0;
    int *grown = NULL;
    unsigned char *z = mem_array(100, 3, NULL);
    void *raw = mem_raw(0, 8, NULL), *odd = mem_raw(3, 7, NULL);
    char *text = mem_printf(NULL, "%d-%s", 5, "x");

    (void)state;
    assert_non_null(z);
    for (int i = 0; i < 300; i++)
        assert_int_equal(z[i], 0);
    assert_non_null(raw);
    assert_int_equal((uintptr_t)odd % 64, 0);
    assert_string_equal(text, "5-x");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(mem_grow((void **)&grown, &cap, (size_t)i + 1, sizeof *grown, NULL), 0);
        grown[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(grown[i], i);
    free(z);
    free(raw);
    free(odd);
    free(text);
    free(grown);
    text = mem_text("", NULL);
    assert_string_equal(text, "");
    free(text);
}

/* Counted page by page; statm is off by some for each CPU. */
static size_t resident(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    size_t kib = 0;

    assert_non_null(f);
    while (!kib && fgets(line, sizeof line, f))
        if (sscanf(line, "Rss: %zu", &kib) != 1)
            kib = 0;
    fclose(f);
    assert_true(kib > 0);
    return kib * 1024;
}

#define BLOCKS 32
#define BYTES ((size_t)1 << 20)

/* Takes and frees blocks below one that stays: malloc as it is keeps them, once it has seen one
 * like them freed. What is still there after `then`. */
static size_t fill_and_free(void (*then)(void))
{
    void *block[BLOCKS], *top;
    size_t before = resident(), full, left;

    for (int i = 0; i < BLOCKS; i++)
        memset(block[i] = mem_raw(BYTES, 1, NULL), 1, BYTES);
    top = mem_array(1000, 1, NULL);
    full = resident();
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
    if (then)
        then();
    left = resident();
    free(top);
    assert_true(full >= before + BLOCKS * BYTES);
    return left > before ? left - before : 0;
}

/* In a process of its own: what malloc has seen is not forgotten. */
static void test_trim(void **state)
{
    pid_t child;
    int status = -1;

    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it has a malloc of its own */
#endif
    if ((child = fork()) == 0) {
        size_t kept, trimmed;

        fill_and_free(NULL);
        kept = fill_and_free(NULL);
        mem_trim();
        trimmed = fill_and_free(mem_trim);
        _exit(kept < BLOCKS * BYTES / 2 ? 1 : trimmed > 2 * BYTES ? 2 : 0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
}

static void test_return_freed(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it has a malloc of its own */
#endif
    mem_return_freed(MEM_BLOCK);
    for (int round = 0; round < 2; round++)
        assert_true(fill_and_free(NULL) < 2 * BYTES);
}

/* Page faults of taking some blocks, writing to them and freeing them. */
static long faults(void)
{
    struct rusage before, after;
    void *block[BLOCKS];

    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < BLOCKS; i++)
        memset(block[i] = mem_raw(BYTES, 1, NULL), 1, BYTES);
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
    getrusage(RUSAGE_SELF, &after);
    return after.ru_minflt - before.ru_minflt;
}

/* In a process of its own: what malloc is told stays. */
static void test_keep_freed(void **state)
{
    pid_t child;
    int status = -1;

    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it has a malloc of its own */
#endif
    if ((child = fork()) == 0) {
        mem_keep_freed();
        faults();
        _exit(faults() < BLOCKS ? 0 : 1);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overflow), cmocka_unit_test(test_good), cmocka_unit_test(test_trim),
        cmocka_unit_test(test_keep_freed), cmocka_unit_test(test_return_freed)};

    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
