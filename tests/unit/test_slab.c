/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_slab: what was added up comes back, in memory or from the spill file; the budget
 * decides how many, the rank which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/wire/share.h"
#include "../../stages/reduce/reduce_slab.h"

#define N 300000 /* more than one block of the file, not a multiple of it */
#define BYTES (N * sizeof(double))

static struct slab *filled(const struct slab_home *home, size_t count, double first)
{
    struct err e = {0};
    struct slab *x = slab_create(home, count, &e);

    assert_non_null(x);
    for (size_t i = 0; i < count; i++) {
        assert_true(x->at[i] == 0);
        x->at[i] = first + (double)i;
    }
    slab_leave(x);
    return x;
}

static void assert_filled(struct slab *x, double first, double step)
{
    struct err e = {0};

    assert_int_equal(slab_use(x, &e), 0);
    for (size_t i = 0; i < x->count; i++)
        assert_true(x->at[i] == first + step * (double)i);
    slab_leave(x);
}

static void a_folder_that_is_not_there(void **state)
{
    struct err e = {0};
    struct slab_home home = {slabs_open(0, "/nonexistent-folder", &e), 0};
    struct slab *x = filled(&home, 10, 1), *y;

    (void)state;
    y = slab_create(&home, 10, &e);
    assert_null(y);
    assert_int_equal(e.kind, ERR_SYS);
    assert_non_null(strstr(e.text, "/nonexistent-folder"));
    assert_filled(x, 1, 1); /* not lost */
    slab_destroy(&x);
    slab_destroy(&x);
    slab_destroy(NULL);
    slabs_close(&home.slabs);
    slabs_close(&home.slabs);
    slabs_close(NULL);
}

static void other_sizes_are_not_added(void **state)
{
    struct err e = {0};
    struct slab_home home = {slabs_open(UINT64_MAX, "/tmp", &e), 0};
    struct slab *x = filled(&home, 10, 1), *y = filled(&home, 11, 1);

    (void)state;
    assert_int_equal(slab_merge(&x, &y, &home, &e), -1);
    assert_non_null(y);
    slab_destroy(&x);
    slab_destroy(&y);
    slabs_close(&home.slabs);
}

static void the_highest_rank_goes_first(void **state)
{
    struct err e = {0};
    struct slabs *a = slabs_open(3 * BYTES, "/tmp", &e);
    struct slab_home home[4] = {{a, 5}, {a, 9}, {a, 7}, {a, 1}};
    struct slab *x[4];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        x[i] = filled(&home[i], N, (double)i);
    assert_int_equal(slabs_spilled(a), 0);
    home[0].rank = 8; /* counts at once */
    x[3] = filled(&home[3], N, 3);
    assert_null(x[1]->at);
    assert_int_equal(slab_use(x[0], &e), 0);
    assert_filled(x[1], 1, 1);
    assert_non_null(x[0]->at); /* in use: the next one went */
    assert_null(x[2]->at);
    slab_leave(x[0]);
    assert_int_equal(slabs_held(a), 3 * BYTES);
    assert_int_equal(slabs_spilled(a), 2 * BYTES);
    for (size_t i = 0; i < 4; i++) {
        assert_filled(x[i], (double)i, 1);
        slab_destroy(&x[i]);
    }
    slabs_close(&a);
}

static void those_in_use_go_beyond_the_budget(void **state)
{
    struct err e = {0};
    struct slab_home home = {slabs_open(BYTES, "/tmp", &e), 0};
    struct slab *x = filled(&home, N, 1), *y;

    (void)state;
    assert_int_equal(slab_use(x, &e), 0);
    y = filled(&home, N, 2);
    assert_int_equal(slabs_held(home.slabs), 2 * BYTES);
    assert_int_equal(slabs_spilled(home.slabs), 0);
    slab_leave(x);
    slab_destroy(&x);
    slab_destroy(&y);
    slabs_close(&home.slabs);
}

/* Sums are the same wherever the two lie. */
static void merge(int to_in_file, int from_in_file)
{
    struct err e = {0};
    struct slabs *a = slabs_open((uint64_t)(3 - to_in_file - from_in_file) * BYTES, "/tmp", &e);
    struct slab_home home[3] = {{a, to_in_file ? 2 : 0}, {a, from_in_file ? 2 : 0}, {a, 1}};
    struct slab *to = filled(&home[0], N, 1), *from = filled(&home[1], N, 5),
                *other = filled(&home[2], N, 9);

    assert_int_equal(to->at == NULL, to_in_file);
    assert_int_equal(from->at == NULL, from_in_file);
    assert_int_equal(slab_merge(&to, &from, &home[0], &e), 0);
    assert_null(from);
    assert_true(slabs_held(a) <= (uint64_t)(3 - to_in_file - from_in_file) * BYTES);
    assert_filled(to, 6, 2);
    assert_filled(other, 9, 1);
    slab_destroy(&to);
    slab_destroy(&other);
    slabs_close(&a);
}

static void merges_wherever_they_lie(void **state)
{
    (void)state;
    merge(0, 0);
    merge(0, 1);
    merge(1, 0);
    merge(1, 1);
}

static void a_merge_into_nothing_moves(void **state)
{
    struct err e = {0};
    struct slabs *a = slabs_open(0, "/tmp", &e);
    struct slab_home lane = {a, 1}, total = {a, 2};
    struct slab *from = filled(&lane, N, 1), *to = NULL, *kept = from, *none = NULL;

    (void)state;
    assert_int_equal(slab_merge(&to, &from, &total, &e), 0);
    assert_null(from);
    assert_ptr_equal(to, kept);
    assert_ptr_equal(to->home, &total);
    assert_int_equal(slab_merge(&to, &none, &total, &e), 0);
    assert_filled(to, 1, 1);
    slab_destroy(&to);
    slabs_close(&a);
}

/* Site after site, the file is no longer than one of them needs. */
static void places_are_used_again(void **state)
{
    struct err e = {0};
    struct slab_home home = {slabs_open(0, "/tmp", &e), 0};

    (void)state;
    for (int site = 0; site < 5; site++) {
        struct slab *total = NULL;

        for (int lane = 0; lane < 4; lane++) {
            struct slab *x = filled(&home, N, lane), *y = filled(&home, N + 1, lane);

            assert_int_equal(slab_merge(&total, &x, &home, &e), 0);
            assert_filled(y, lane, 1);
            slab_destroy(&y);
        }
        assert_filled(total, 6, 4);
        assert_int_equal(slab_use(total, &e), 0);
        double *at = slab_take(&total);
        assert_null(total);
        assert_true(at[1] == 10);
        share_free(at);
    }
    assert_true(slabs_spilled(home.slabs) <= 3 * (BYTES + sizeof(double)));
    assert_int_equal(slabs_held(home.slabs), BYTES + sizeof(double));
    slabs_close(&home.slabs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_that_is_not_there),
        cmocka_unit_test(other_sizes_are_not_added),
        cmocka_unit_test(the_highest_rank_goes_first),
        cmocka_unit_test(those_in_use_go_beyond_the_budget),
        cmocka_unit_test(merges_wherever_they_lie),
        cmocka_unit_test(a_merge_into_nothing_moves),
        cmocka_unit_test(places_are_used_again),
    };
    return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
