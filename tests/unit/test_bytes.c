/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes in the unit that fits, with three digits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../common/base/bytes.h"

static void reads(double v, const char *want)
{
    char text[BYTES_TEXT];

    assert_ptr_equal(bytes_text(v, text), text);
    assert_string_equal(text, want);
}

static void units_fit(void **state)
{
    (void)state;
    reads(NAN, "–");
    reads(INFINITY, "–");
    reads(0, "0 bytes");
    reads(999, "999 bytes");
    reads(1023, "0.999 KiB");
    reads(1024, "1 KiB");
    reads(1536, "1.5 KiB");
    reads(12.34 * 1024 * 1024, "12.3 MiB");
    reads(999.6 * 1024, "0.976 MiB"); /* never "1e+03 KiB" */
    reads(5.0 * 1024 * 1024 * 1024, "5 GiB");
    reads(ldexp(100, 40), "100 TiB");
    reads(ldexp(1, 60), "1 EiB");
    reads(ldexp(1, 64), "16 EiB"); /* all that 64 bits hold */
    reads(1e300, "8.67e+281 EiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(units_fit)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
