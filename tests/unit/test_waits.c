/* SPDX-License-Identifier: Apache-2.0 */
/* Waits: what processes told of their waiting, cut into pieces of time; and bands drawn of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../ops/tools/report/plot_bands.h"
#include "../../pipelines/hosts_waits.h"
#include "../../pipelines/waits.h"

static void told(struct waits *w, double now, const char *text)
{
    struct err e = {0};
    struct json *j = json_parse(text, strlen(text), "line", &e);

    assert_non_null(j);
    waits_take(w, 100, j, now);
    json_destroy(&j);
}

static double of(const struct waits *w, size_t i)
{
    double sum = 0;

    for (size_t k = 0; k < WAITS_PIECES; k++)
        sum += w->each[i][k];
    return sum;
}

static void what_is_new_lies_between_two_lines(void **state)
{
    struct waits w = {0};

    (void)state;
    told(&w, 101, "{\"for a\":0.5}");
    told(&w, 102, "{\"for a\":0.5,\"until b takes\":1}");
    assert_int_equal(w.count, 2);
    assert_float_equal(w.each[0][0] + w.each[0][1] + w.each[0][2] + w.each[0][3], 0.5, 1e-6);
    assert_float_equal(w.each[0][0], 0.125, 1e-6); /* evenly over the four pieces of that second */
    assert_float_equal(w.each[0][4], 0, 0);
    assert_float_equal(w.each[1][3], 0, 0);
    assert_float_equal(w.each[1][4], 0.25, 1e-6);
    assert_float_equal(w.each[1][8], 0, 0);
}

static void a_long_run_takes_no_more_room(void **state)
{
    struct waits w = {0};
    char line[64];

    (void)state;
    for (int i = 1; i <= 1000; i++) {
        snprintf(line, sizeof line, "{\"for a\":%.2f}", 0.25 * i);
        told(&w, 100 + i, line);
    }
    assert_float_equal(w.width, 8, 0); /* the least that 240 pieces reach 1000 s with */
    assert_float_equal(of(&w, 0), 250, 1e-2);
    for (int k = 0; k < 125; k++)
        assert_float_equal(w.each[0][k], 2, 1e-3);
}

static void nonsense_is_passed_over(void **state)
{
    struct waits w = {0};
    char line[1200];
    size_t n = 1;

    (void)state;
    told(&w, 101, "{\"for a\":1}");
    told(&w, 102,
         "{\"for a\":0.5,\"b\":\"x\",\"c\":null,\"d\":-4}"); /* less than before, no number */
    assert_float_equal(of(&w, 0), 1, 1e-6);
    told(&w, 103, "{\"for a\":1e9}"); /* a second has one second */
    assert_float_equal(of(&w, 0), 2, 1e-6);
    told(&w, 103, "{\"for a\":2e9}"); /* no time went by */
    told(&w, 99, "{\"for a\":2e9}");
    told(&w, 104, "[1]");
    assert_float_equal(of(&w, 0), 2, 1e-6);
    line[0] = '{';
    for (int i = 0; i < 20; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s\"n%d\":%d", i ? "," : "", i, i + 1);
    snprintf(line + n, sizeof line - n, "}");
    told(&w, 105, line);
    assert_int_equal(w.count, STATUS_WAITS);
}

static void heard(struct hosts_waits *x, double now, const char *text)
{
    struct err e = {0};
    struct json *j = json_parse(text, strlen(text), "ping", &e);

    assert_non_null(j);
    hosts_waits_take(x, 3, "a", j, now);
    json_destroy(&j);
}

static void workers_are_kept_within_bounds(void **state)
{
    struct hosts_waits x = {0};
    char text[64];

    (void)state;
    heard(&x, 100, "{}");
    heard(&x, 100,
          "[1,null,{\"name\":\"p\"},{\"name\":\"p\",\"age\":-1},{\"name\":\"p\",\"age\":101},"
          "{\"age\":1},{\"name\":4,\"age\":1}]");
    assert_int_equal(x.count, 0);
    heard(&x, 100, "[{\"name\":\"forward.1\",\"age\":10,\"waited\":{\"for b\":5}}]");
    heard(&x, 101, "[{\"name\":\"forward.1\",\"age\":10.6,\"waited\":{\"for b\":6}}]");
    assert_int_equal(x.count, 1);
    assert_string_equal(x.row[0]->name, "a forward.1");
    assert_string_equal(x.row[0]->stage, "forward");
    assert_float_equal(x.row[0]->w.sum[0], 6, 0);
    heard(&x, 110, "[{\"name\":\"forward.1\",\"age\":1,\"waited\":{\"for b\":0.5}}]"); /* another */
    assert_int_equal(x.count, 2);
    assert_float_equal(x.row[1]->w.sum[0], 0.5, 0);
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "[{\"name\":\"n%d\",\"age\":1,\"waited\":7}]", i);
        heard(&x, 120, text);
    }
    assert_int_equal(x.count, HOSTS_WAITS_EACH);
    hosts_waits_release(&x);
}

static char *drawn(const struct band *b, size_t n)
{
    static const char *const names[] = {"at work", "waits for <b>"};
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    plot_bands(f, "T", 10, b, n, names, 2);
    fclose(f);
    return text;
}

/* Two pieces of 5 s: half of the first waited, nothing of the second. */
static void bands_are_as_high_as_their_shares(void **state)
{
    const double each[2] = {2.5, 0};
    const struct band_wait wait = {.name = 1, .each = each};
    const struct band b[2] = {
        {.name = "p<1>", .to = 10, .width = 5, .count = 2, .waits = 1, .wait = &wait},
        {.name = "silent", .to = 10}};
    char *text = drawn(b, 2);

    (void)state;
    assert_non_null(strstr(text, "p&lt;1&gt;"));
    assert_non_null(strstr(text, "waits for &lt;b&gt;"));
    /* 96 to 466: half of it is 281; the band is 20 high, from 34 on */
    assert_non_null(strstr(text, "d=\"M96.0 34.00H281.0v10.00H96.0z\""));
    assert_non_null(strstr(text, "M96.0 44.00H281.0v10.00H96.0zM281.0 34.00H466.0v20.00H281.0z\""));
    assert_null(strstr(text, "nan"));
    free(text);
}

static void odd_bands_are_drawn_too(void **state)
{
    const double each[3] = {100, 100, 100};
    const struct band_wait wait[2] = {{.name = 1, .each = each}, {.name = 9, .each = each}};
    const struct band b[3] = {
        {.name = "", .from = 3, .to = 3, .width = 1, .count = 3, .waits = 2, .wait = wait},
        {.name = "x", .from = 2, .to = 4, .width = 1e-9, .count = 3, .waits = 2, .wait = wait},
        {.name = "y", .from = 0, .to = 1e9, .width = 1e12, .count = 1, .waits = 1, .wait = wait}};
    char *text = drawn(b, 3);

    (void)state;
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
    text = drawn(b, 0);
    assert_non_null(strstr(text, "</svg>"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_new_lies_between_two_lines),
        cmocka_unit_test(a_long_run_takes_no_more_room),
        cmocka_unit_test(nonsense_is_passed_over),
        cmocka_unit_test(workers_are_kept_within_bounds),
        cmocka_unit_test(bands_are_as_high_as_their_shares),
        cmocka_unit_test(odd_bands_are_drawn_too),
    };

    return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
