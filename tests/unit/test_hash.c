/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32C and XXH64 against published values, in pieces and at odd places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/hash.h"

static void test_bad_file(void **state)
{
    struct err e = {0};
    uint64_t d;

    (void)state;
    assert_int_equal(hash_file("/no/such/file", &d, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "/no/such/file"));
}

/* RFC 3720, appendix B.4. */
static void test_crc_vectors(void **state)
{
    unsigned char b[32];

    (void)state;
    assert_int_equal(hash_crc32c(0, "", 0), 0);
    assert_int_equal(hash_crc32c(0, "123456789", 9), 0xe3069283u);
    memset(b, 0, 32);
    assert_int_equal(hash_crc32c(0, b, 32), 0x8a9136aau);
    memset(b, 0xff, 32);
    assert_int_equal(hash_crc32c(0, b, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        b[i] = (unsigned char)i;
    assert_int_equal(hash_crc32c(0, b, 32), 0x46dd794eu);
    for (int i = 0; i < 32; i++)
        b[i] = (unsigned char)(31 - i);
    assert_int_equal(hash_crc32c(0, b, 32), 0x113fdb5cu);
}

/* One bit at a time, by the polynomial. */
static uint32_t crc_slow(const unsigned char *p, size_t n)
{
    uint32_t c = ~0u;

    for (; n; n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
    }
    return ~c;
}

static void test_crc_lengths(void **state)
{
    enum { N = 70000 };
    unsigned char *b = malloc(N);
    uint32_t x = 1;

    (void)state;
    assert_non_null(b);
    for (size_t i = 0; i < N; i++)
        b[i] = (unsigned char)((x = x * 1664525u + 1013904223u) >> 24);
    for (size_t n = 0; n < 300; n++)
        for (size_t at = 0; at < 9; at++)
            assert_int_equal(hash_crc32c(0, b + at, n), crc_slow(b + at, n));
    for (size_t n = 1000; n < N; n += 6131)
        assert_int_equal(hash_crc32c(0, b + 1, n), crc_slow(b + 1, n));
    assert_int_equal(hash_crc32c(hash_crc32c(0, b, 40000), b + 40000, N - 40000), crc_slow(b, N));
    free(b);
}

static void test_xxh64_vectors(void **state)
{
    struct hash h;
    char hex[17];

    (void)state;
    assert_true(hash_bytes("", 0) == 0xef46db3751d8e999u);
    assert_true(hash_bytes("a", 1) == 0xd24ec4f1a98c6e5bu);
    assert_true(hash_bytes("abc", 3) == 0x44bc2cf5ad770999u);
    assert_true(hash_bytes("Nobody inspects the spammish repetition", 39) == 0xfbcea83c8a378bf1u);
    hash_start(&h);
    hash_add(&h, "Nobody inspects ", 16);
    hash_add(&h, "", 0);
    hash_add(&h, "the spammish repetition", 23);
    assert_true(hash_end(&h) == 0xfbcea83c8a378bf1u);
    hash_hex(0xfbcea83c8a378bf1u, hex);
    assert_string_equal(hex, "fbcea83c8a378bf1");
}

static void test_xxh64_pieces(void **state)
{
    unsigned char b[200];

    (void)state;
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (unsigned char)(i * 37);
    for (size_t cut = 0; cut <= sizeof b; cut++) {
        struct hash h;

        hash_start(&h);
        hash_add(&h, b, cut);
        hash_add(&h, b + cut, sizeof b - cut);
        assert_true(hash_end(&h) == hash_bytes(b, sizeof b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_file),     cmocka_unit_test(test_crc_vectors),
        cmocka_unit_test(test_crc_lengths),  cmocka_unit_test(test_xxh64_vectors),
        cmocka_unit_test(test_xxh64_pieces),
    };

    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
