/* SPDX-License-Identifier: Apache-2.0 */
/* test_watch - the time that is left, of a stage that knows the whole of its work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "../../common/base/clock.h"
#include "../../pipelines/watch.h"

static double hand; /* of the clock */

double clock_wall(void)
{
    return hand;
}

double clock_thread(void)
{
    return hand;
}

static void said(struct watch *w, const char *line)
{
    struct err e = {0};
    struct json *j = json_parse(line, strlen(line), "status", &e);

    assert_non_null(j);
    watch_status(w, 0, j);
    json_destroy(&j);
}

#define STEPS(done, total, note) \
    "{\"stage\":\"slide\",\"state\":\"learn\",\"done\":" done ",\"total\":" total note "}"

static void learns(void **state)
{
    static struct watch w;

    (void)state;
    hand = 100;
    watch_init(&w, NULL, 4096);
    hand = 120; /* chunks were read */
    said(&w, STEPS("5", "105", ",\"note\":\"window 1\""));
    assert_true(isnan(watch_left(&w)));
    hand = 130;
    said(&w, STEPS("25", "105", ",\"note\":\"window 2\""));
    assert_true(fabs(watch_share(&w) - 25.0 / 105) < 1e-12);
    assert_true(fabs(watch_left(&w) - 40) < 1e-9); /* 2 a second, 80 of them */
    hand = 150;
    watch_pause(&w, 1);
    hand = 250;
    watch_pause(&w, 0);
    said(&w, STEPS("65", "105", ",\"note\":\"window 3\""));
    assert_true(fabs(watch_left(&w) - 20) < 1e-9);
    /* windows of an earlier run are no work: the whole is less, and nothing was done the faster */
    said(&w, STEPS("65", "85", ",\"note\":\"window 4\""));
    assert_true(fabs(watch_left(&w) - 10) < 1e-9);
    assert_string_equal(w.job.note, "window 4");
    watch_again(&w, 0);
    assert_true(isnan(watch_left(&w)) && !*w.job.note);
}

static void what_is_no_job(void **state)
{
    static struct watch w;

    (void)state;
    hand = 100;
    watch_init(&w, NULL, 4096);
    said(&w, STEPS("5", "105", ""));
    said(&w, STEPS("-1", "105", ",\"note\":\"n\""));
    said(&w, STEPS("6", "5", ",\"note\":\"n\""));
    said(&w, STEPS("0", "0", ",\"note\":\"n\""));
    said(&w, STEPS("\"a\"", "5", ",\"note\":\"n\""));
    said(&w, STEPS("1", "5", ",\"note\":7"));
    assert_true(w.job.total == 0 && watch_share(&w) <= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns),
        cmocka_unit_test(what_is_no_job),
    };

    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
