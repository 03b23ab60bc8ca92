/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that were closed before the start: their numbers go to no file, and their use fails. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/std.h"

static void numbers_are_held(void **state)
{
    const int out = dup(1), in = dup(0);
    int other, writes, reads, closed, open_one;
    char c;

    (void)state;
    assert_true(out > 2 && in > 2);
    close(0);
    close(1);
    std_hold();
    other = open("/dev/null", O_RDWR);
    writes = write(1, "x", 1) < 0 ? errno : 0;
    reads = read(0, &c, 1) < 0 ? errno : 0;
    closed = std_was_closed(0) && std_was_closed(1);
    dup2(out, 1);
    dup2(in, 0);
    open_one = std_was_closed(1);
    assert_true(other > 2);
    assert_int_equal(writes, EBADF);
    assert_int_equal(reads, EBADF);
    assert_true(closed);
    assert_false(open_one);
    close(other);
    close(out);
    close(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_are_held)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
