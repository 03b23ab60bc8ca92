/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks that come while the forward stage runs already: the same rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "forward_run.h"

/* The first stop emits what is there first, so in another order; all else is the same. mem 0: with
 * every chunk in the file. */
static void chunks_may_come_late(void **state)
{
    struct forward_opts o = {
        .acts = DT_BF16, .order = FORWARD_SITE, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    static const struct st_set any;
    struct err e = {0};
    struct recorder a = {0}, b = {0};
    uint64_t sum = 0;

    (void)state;
    assert_int_equal(run(DIR, &o, &a, commit_8bit, &e), 0);
    for (int i = 0; i < 3; i++)
        sum += msg_checksum(a.m[i]);
    for (int w = 0; w < 2; w++) {
        uint64_t late = 0;

        o.mem = w ? 0 : 1 << 30;
        b.late = &any;
        b.came = 0;
        if (run(DIR, &o, &b, commit_8bit, &e) < 0)
            fail_msg("%s", e.text);
        assert_int_equal(b.n, a.n);
        for (int i = 0; i < 3; i++)
            late += msg_checksum(b.m[i]);
        assert_true(late == sum);
        assert_string_equal(b.m[0]->id, "b0.attn.qkv/c1");
        for (size_t i = 3; i < a.n; i++)
            assert_int_equal(msg_checksum(b.m[i]), msg_checksum(a.m[i]));
        recorder_clear(&b);
    }
    b = (struct recorder){.late = &any, .fails = 1};
    assert_int_equal(run(DIR, &o, &b, commit_8bit, &e), -1);
    assert_string_equal(e.text, "cut short");
    recorder_clear(&a);
    recorder_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chunks_may_come_late)};
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("forward_late", tests, NULL, NULL);
}
