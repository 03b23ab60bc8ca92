/* SPDX-License-Identifier: Apache-2.0 */
/* store: what was saved comes back, in memory or from the spill file, and the budget decides
 * which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../stages/forward/store.h"

#define CHUNKS 5
#define H 4096
#define X 8192

/* Fills the areas of every chunk with its number, then reads all back. */
static void round_trip(struct store_room budget, uint64_t spilled)
{
    struct err e = {0};
    struct store *s = store_open(budget, "/tmp", &e);
    void *h, *x;

    assert_non_null(s);
    for (int i = 0; i < CHUNKS; i++)
        assert_int_equal(store_add(s, H, X, &e), i);
    assert_int_equal(store_spilled(s), spilled);
    for (size_t i = 0; i < CHUNKS; i++) {
        assert_int_equal(store_load(s, i, X, &h, &x, &e), 0);
        memset(h, (int)i + 1, H);
        memset(x, (int)i + 101, X);
        assert_int_equal(store_save(s, i, 1, X, &e), 0);
    }
    for (size_t i = 0; i < CHUNKS; i++) {
        assert_int_equal(store_load(s, i, X, &h, &x, &e), 0);
        for (size_t k = 0; k < H; k++)
            assert_int_equal(((unsigned char *)h)[k], i + 1);
        for (size_t k = 0; k < X; k++)
            assert_int_equal(((unsigned char *)x)[k], i + 101);
    }
    store_close(&s);
    assert_null(s);
}

static void all_in_memory(void **state)
{
    (void)state;
    round_trip((struct store_room){CHUNKS * H, CHUNKS * X}, 0);
}

static void all_in_the_file(void **state)
{
    (void)state;
    round_trip((struct store_room){0, 0}, CHUNKS * (H + X));
}

static void some_of_each(void **state)
{
    (void)state;
    round_trip((struct store_room){2 * H + 1, 2 * X + 1}, 3 * (H + X));
    round_trip((struct store_room){CHUNKS * H, 2 * X - 1}, 4 * X);
    round_trip((struct store_room){H, CHUNKS * X}, 4 * H);
}

static void bad_arguments(void **state)
{
    struct err e = {0};
    struct store *s = store_open((struct store_room){0, 0}, "/nonexistent-folder", &e);
    void *h, *x;

    (void)state;
    assert_non_null(s);
    assert_int_equal(store_load(s, 0, 0, &h, &x, &e), -1);
    e.text[0] = 0;
    assert_int_equal(store_add(s, H, X, &e), -1);
    assert_non_null(strstr(e.text, "/nonexistent-folder"));
    assert_int_equal(e.kind, ERR_SYS);
    store_close(&s);
    store_close(&s);
    store_close(NULL);
}

/* h saved alone leaves x as it was, and the other way round. */
static void parts_are_saved_alone(void **state)
{
    struct err e = {0};
    struct store *s = store_open((struct store_room){0, 0}, "/tmp", &e);
    void *h, *x;

    (void)state;
    assert_int_equal(store_add(s, H, X, &e), 0);
    assert_int_equal(store_add(s, H, X, &e), 1);
    assert_int_equal(store_load(s, 0, 0, &h, &x, &e), 0);
    memset(h, 7, H);
    memset(x, 9, 100);
    assert_int_equal(store_save(s, 0, 1, 100, &e), 0);
    memset(h, 8, H);
    assert_int_equal(store_save(s, 0, 0, 100, &e), 0); /* h not saved */
    assert_int_equal(store_load(s, 1, X, &h, &x, &e), 0);
    assert_int_equal(store_load(s, 0, 100, &h, &x, &e), 0);
    assert_int_equal(((unsigned char *)h)[H - 1], 7);
    assert_int_equal(((unsigned char *)x)[99], 9);
    store_close(&s);
}

/* h of a chunk stays in memory while its x is in the file: what was not saved of x is lost, of h
 * nothing is. */
static void h_stays_while_x_goes(void **state)
{
    struct err e = {0};
    struct store *s = store_open((struct store_room){2 * H, 0}, "/tmp", &e);
    void *h, *x, *again;

    (void)state;
    assert_int_equal(store_add(s, H, X, &e), 0);
    assert_int_equal(store_add(s, H, X, &e), 1);
    assert_int_equal(store_load(s, 0, X, &h, &x, &e), 0);
    assert_int_equal(((unsigned char *)x)[X - 1], 0); /* zero at first */
    memset(h, 7, H);
    memset(x, 9, X);
    assert_int_equal(store_save(s, 0, 0, 0, &e), 0);
    assert_int_equal(store_load(s, 1, X, &again, &x, &e), 0);
    assert_ptr_not_equal(again, h);
    assert_int_equal(store_load(s, 0, X, &again, &x, &e), 0);
    assert_ptr_equal(again, h);
    assert_int_equal(((unsigned char *)h)[H - 1], 7);
    assert_int_equal(((unsigned char *)x)[X - 1], 0);
    store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments),         cmocka_unit_test(all_in_memory),
        cmocka_unit_test(all_in_the_file),       cmocka_unit_test(some_of_each),
        cmocka_unit_test(parts_are_saved_alone), cmocka_unit_test(h_stays_while_x_goes),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
