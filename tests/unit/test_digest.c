/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b-256, against values that b2sum -l 256 prints, however the bytes are cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "../../common/base/digest.h"

static void is(const char *text, size_t step, const char *want)
{
    struct digest d;
    char out[DIGEST_TEXT];

    digest_start(&d);
    for (size_t i = 0, n = strlen(text); i < n; i += step)
        digest_add(&d, text + i, n - i < step ? n - i : step);
    digest_end(&d, out);
    assert_string_equal(out, want);
    assert_true(digest_is_text(out));
}

static void test_known(void **state)
{
    (void)state;
    is("", 1, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    for (size_t step = 1; step < 4; step++)
        is("abc", step, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

static void test_text(void **state)
{
    static const char *const bad[] = {
        "", "0e57", "0E5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
        "../751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8a",
        "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a80"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(digest_is_text(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known), cmocka_unit_test(test_text)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
