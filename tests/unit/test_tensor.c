/* SPDX-License-Identifier: Apache-2.0 */
/* Tensor headers: shapes that lie, names that are too long, ownership. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/tensor/tensor.h"

static void test_bad_shapes(void **state)
{
    uint64_t huge[4] = {UINT64_MAX, 2, 1, 1}, product[4] = {1u << 31, 1u << 31, 4, 1},
             one[1] = {(uint64_t)1 << 61};
    size_t elements, bytes;
    struct err e = {0};

    (void)state;
    assert_int_equal(tensor_measure(DT_F32, 2, huge, "w", &elements, &bytes, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "'w'"));
    assert_int_equal(tensor_measure(DT_F32, 3, product, "w", &elements, &bytes, &e), -1);
    assert_int_equal(tensor_measure(DT_F64, 1, one, "w", &elements, &bytes, &e), -1);
    assert_int_equal(tensor_measure(DT_F32, 5, huge, "w", &elements, &bytes, &e), -1);
    assert_int_equal(tensor_measure(DT_F32, -1, huge, "w", &elements, &bytes, &e), -1);
    assert_int_equal(tensor_measure(DT_COUNT, 1, one, "w", &elements, &bytes, &e), -1);
}

static void test_measure(void **state)
{
    uint64_t shape[4] = {3, 0, 5, 1};
    size_t elements, bytes;
    char text[96];

    (void)state;
    assert_int_equal(tensor_measure(DT_BF16, 0, NULL, "s", &elements, &bytes, NULL), 0);
    assert_int_equal(elements, 1);
    assert_int_equal(bytes, 2);
    assert_int_equal(tensor_measure(DT_BF16, 4, shape, "s", &elements, &bytes, NULL), 0);
    assert_int_equal(bytes, 0);
    tensor_shape_text(4, shape, text, sizeof text);
    assert_string_equal(text, "[3, 0, 5, 1]");
    tensor_shape_text(4, shape, text, 5);
    assert_string_equal(text, "[3, ");
    tensor_shape_text(0, shape, text, sizeof text);
    assert_string_equal(text, "[]");
}

static int released;
static void count_release(void *owner)
{
    assert_ptr_equal(owner, &released);
    released++;
}

static void test_ownership(void **state)
{
    uint64_t shape[2] = {7, 9};
    struct tensor t, b;
    struct err e = {0};
    char name[TENSOR_NAME + 1];
    float data[63] = {0};

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(tensor_alloc(&t, name, DT_F32, 2, shape, &e), -1);
    assert_null(t.data);
    assert_int_equal(tensor_alloc(&t, "w", DT_F32, 2, shape, &e), 0);
    assert_int_equal((uintptr_t)t.data % 64, 0);
    assert_int_equal(tensor_elements(&t), 63);
    assert_true(tensor_has_shape(&t, 2, shape));
    assert_false(tensor_has_shape(&t, 1, shape));
    tensor_release(&t);
    assert_null(t.data);
    tensor_release(&t);
    tensor_release(NULL);
    assert_int_equal(tensor_borrow(&b, "w", DT_F32, 2, shape, data, &e), 0);
    b.release = count_release;
    b.owner = &released;
    tensor_release(&b);
    assert_int_equal(released, 1);
}

static void test_count_bad(void **state)
{
    uint64_t shape[1] = {4};
    float f[4] = {1, NAN, -INFINITY, 3.3e38f};
    double d[4] = {1, 2, NAN, 1e308};
    uint16_t h[4];
    struct tensor t;

    (void)state;
    tensor_borrow(&t, "x", DT_F32, 1, shape, f, NULL);
    assert_int_equal(tensor_count_bad(&t), 2);
    tensor_borrow(&t, "x", DT_F64, 1, shape, d, NULL);
    assert_int_equal(tensor_count_bad(&t), 1);
    dtype_from_f32(DT_F16, f, 4, h);
    tensor_borrow(&t, "x", DT_F16, 1, shape, h, NULL);
    assert_int_equal(tensor_count_bad(&t), 3); /* 3.3e38 is infinite in f16 */
    dtype_from_f32(DT_BF16, f, 4, h);
    tensor_borrow(&t, "x", DT_BF16, 1, shape, h, NULL);
    assert_int_equal(tensor_count_bad(&t), 2);
    tensor_borrow(&t, "x", DT_I32, 1, shape, f, NULL);
    assert_int_equal(tensor_count_bad(&t), 0);
}

/* The sum that is taken on the way is that of the bytes. */
static void test_fill(void **state)
{
    const uint64_t sizes[] = {0, 1, 32767, 32768, 32769, 100001};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct tensor from, to;
        uint32_t crc;

        assert_int_equal(tensor_alloc(&from, "from", DT_U8, 1, &sizes[i], &e), 0);
        assert_int_equal(tensor_alloc(&to, "to", DT_U8, 1, &sizes[i], &e), 0);
        for (size_t k = 0; k < from.bytes; k++)
            ((unsigned char *)from.data)[k] = (unsigned char)(k * k >> 3);
        tensor_copy_in(&to, from.data);
        assert_memory_equal(to.data, from.data, from.bytes);
        crc = tensor_crc(&to);
        assert_true(to.crc_known && crc == tensor_crc(&from));
        tensor_release(&from);
        tensor_release(&to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_shapes), cmocka_unit_test(test_measure),
        cmocka_unit_test(test_ownership),  cmocka_unit_test(test_count_bad),
        cmocka_unit_test(test_fill),
    };

    return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
