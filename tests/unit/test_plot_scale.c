/* SPDX-License-Identifier: Apache-2.0 */
/* Scales, ticks, numbers for people, thinning of ranks, and what charts and escaping write. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../ops/tools/report/plot.h"
#include "../../ops/tools/report/plot_scale.h"

static void impossible_ranges(void **state)
{
    struct scale s;
    struct ticks t;

    (void)state;
    scale_fit(&s, INFINITY, -INFINITY, 0, 0, 100);
    assert_true(s.lo == 0 && s.hi == 1);
    scale_fit(&s, INFINITY, -INFINITY, 1, 0, 100);
    assert_true(s.lo == 1 && s.hi == 10);
    scale_fit(&s, -1, 5, 1, 0, 100);
    assert_true(s.lo == 1 && s.hi == 10);
    scale_fit(&s, NAN, 5, 0, 0, 100);
    assert_true(s.lo == 0 && s.hi == 1);
    scale_fit(&s, 1, 10, 1, 0, 100);
    assert_true(isnan(scale_at(&s, 0)) && isnan(scale_at(&s, -3)) && isnan(scale_at(&s, NAN)));
    scale_exact(&s, 3, 3, 0, 0, 100);
    assert_true(scale_at(&s, 3) == 50);
    scale_ticks(&s, 5, 1, &t);
    assert_true(t.count == 1 && t.at[0] == 3);
}

static void close_to(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * (fabs(b) + 1)))
        fail_msg("%.17g is not %.17g", a, b);
}

static void scales_are_round_and_cover(void **state)
{
    struct scale s;

    (void)state;
    scale_fit(&s, 0.3, 9.2, 0, 100, 0); /* upside down, as y is */
    close_to(s.lo, 0);
    close_to(s.hi, 10);
    close_to(scale_at(&s, 2.5), 75);
    scale_fit(&s, 7, 7, 0, 0, 1); /* one number */
    assert_true(s.lo < 7 && s.hi > 7);
    scale_fit(&s, 0, 0, 0, 0, 1);
    assert_true(s.lo < 0 && s.hi > 0);
    scale_fit(&s, 0.0031, 0.042, 1, 0, 100);
    close_to(s.lo, 0.002);
    close_to(s.hi, 0.05);
    close_to(scale_at(&s, 0.01), 50);
    scale_fit(&s, 0.01, 0.01, 1, 0, 100);
    assert_true(s.lo < 0.01 && s.hi > 0.01);
    for (double lo = 1e-12; lo < 1e12; lo *= 3.7)
        for (double f = 1.01; f < 1e6; f *= 7.3)
            for (int log = 0; log < 2; log++) {
                scale_fit(&s, lo, lo * f, log, 0, 1);
                assert_true(s.lo <= lo * (1 + 1e-8) && s.hi >= lo * f * (1 - 1e-8) && s.lo < s.hi);
            }
}

static void ticks_are(const double *want, size_t n, double lo, double hi, int log, size_t about,
                      int whole)
{
    struct scale s;
    struct ticks t;

    scale_exact(&s, lo, hi, log, 0, 1);
    scale_ticks(&s, about, whole, &t);
    assert_int_equal(t.count, n);
    for (size_t i = 0; i < n; i++)
        close_to(t.at[i], want[i]);
}

static void ticks_are_round(void **state)
{
    struct scale s;
    struct ticks t;

    (void)state;
    ticks_are((const double[]){0, 2, 4, 6, 8, 10}, 6, 0, 10, 0, 5, 0);
    ticks_are((const double[]){0, 1, 2, 3}, 4, 0, 3, 0, 8, 1);
    ticks_are((const double[]){0}, 1, 0, 0.5, 0, 8, 1);
    ticks_are((const double[]){-0.2, -0.1, 0, 0.1, 0.2}, 5, -0.2, 0.2, 0, 5, 0);
    ticks_are((const double[]){0.002, 0.005, 0.01, 0.02, 0.05}, 5, 0.002, 0.05, 1, 5, 0);
    ticks_are((const double[]){0.1, 1, 10, 100}, 4, 0.05, 300, 1, 5, 0);
    ticks_are((const double[]){1e-8, 1e-4, 1, 1e4, 1e8}, 5, 1e-9, 1e9, 1, 5, 0);
    for (double hi = 1e-9; hi < 1e15; hi *= 1.7)
        for (size_t want = 5; want < 20; want += 3) {
            scale_fit(&s, hi / 1000, hi, 0, 0, 1);
            scale_ticks(&s, want, 0, &t);
            assert_true(t.count >= 2 && t.count <= TICKS_MAX);
            scale_fit(&s, hi / 1e5, hi, 1, 0, 1);
            scale_ticks(&s, want, 0, &t);
            assert_true(t.count >= 2 && t.count <= TICKS_MAX);
        }
}

static void reads(void (*write)(double v, char out[SCALE_TEXT]), double v, const char *want)
{
    char text[SCALE_TEXT];

    write(v, text);
    assert_string_equal(text, want);
}

static void three(double v, char out[SCALE_TEXT])
{
    number_text(v, 3, out);
}

static void numbers_are_readable(void **state)
{
    char text[SCALE_TEXT];

    (void)state;
    reads(three, NAN, "–");
    reads(three, INFINITY, "–");
    reads(three, 0, "0");
    reads(three, 12, "12");
    reads(three, 1234, "1,234");
    reads(three, -1234567, "−1,234,567");
    reads(three, 524288, "524,288");
    reads(three, 0.0123456, "0.0123");
    reads(three, 0.5, "0.5");
    reads(three, 9.999, "10");
    reads(three, 1234.5, "1,234");
    reads(three, -0.25, "−0.25");
    reads(three, 0.00001, "10⁻⁵");
    reads(three, 4.56e-7, "4.56×10⁻⁷");
    reads(three, 1.5e20, "1.5×10²⁰");
    reads(three, 1e300, "10³⁰⁰");
    reads(seconds_text, 0.0123, "12.3 ms");
    reads(seconds_text, 12.34, "12.3 s");
    reads(seconds_text, 125, "2 min 05 s");
    reads(seconds_text, 119.7, "2 min 00 s");
    reads(seconds_text, 3 * 3600 + 12 * 60 + 40, "3 h 13 min");
    reads(seconds_text, NAN, "–");
    reads(percent_text, 0.1234, "12.3 %");
    for (int i = 0; i < 4000; i++) { /* whatever the number: it fits */
        number_text((i % 2 ? -1 : 1) * pow(10, i / 10.0 - 200) * 1.2345678, 1 + i % 16, text);
        assert_true(strlen(text) < SCALE_TEXT && *text);
    }
}

static void ranks_are_thinned(void **state)
{
    static const size_t sizes[] = {1, 2, 50, 256, 30000};
    size_t index[120], n;

    (void)state;
    rank_thin(0, 120, index, &n);
    assert_int_equal(n, 0);
    for (size_t i = 0; i < 5; i++) {
        rank_thin(sizes[i], 120, index, &n);
        assert_true(n >= 1 && n <= 120 && n <= sizes[i]);
        assert_int_equal(index[0], 0);
        assert_int_equal(index[n - 1], sizes[i] - 1);
        for (size_t k = 1; k < n; k++)
            assert_true(index[k] > index[k - 1]);
    }
}

static char *drawn(const struct plot *p, const struct plot_series *s, size_t n, const char *text)
{
    char *out = NULL, *copy;
    size_t size;
    FILE *f = open_memstream(&out, &size);

    assert_non_null(f);
    if (text)
        html_text(f, text);
    else
        plot_lines(f, p, s, n);
    fclose(f);
    copy = strdup(out);
    free(out);
    return copy;
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

/* A gap breaks the path: each piece begins with M; what a log axis does not have is not drawn. */
static void paths_break_at_gaps(void **state)
{
    const double x[6] = {0, 1, 2, 3, 4, 5}, y[6] = {1, 10, NAN, 100, 0, 1000};
    const unsigned char ring[6] = {0, 1, 0, 0, 0, 0};
    const struct plot_series s = {
        .name = "a<b", .count = 6, .x = x, .y = y, .ring = ring, .points = 1, .line = 1};
    const struct plot p = {.title = "T & t",
                           .x_label = "x",
                           .y_label = "y",
                           .log_y = 1,
                           .floor_y = NAN,
                           .line_y = NAN};
    char *out = drawn(&p, &s, 1, NULL), *path = strstr(out, "class=\"line\" d=\"");
    size_t pieces = 0, joined = 0;

    (void)state;
    assert_non_null(path);
    for (path += strlen("class=\"line\" d=\""); *path && *path != '"'; path++) {
        pieces += *path == 'M';
        joined += *path == 'L';
    }
    assert_int_equal(pieces, 3);
    assert_int_equal(joined, 1);
    assert_int_equal(count_of(out, "a&lt;b, x"), 4);
    assert_int_equal(count_of(out, "class=\"ring\""), 1);
    assert_non_null(strstr(out, "T &amp; t"));
    assert_null(strstr(out, "nan"));
    assert_null(strstr(out, "inf"));
    free(out);
    out = drawn(&p, &s, 0, NULL); /* nothing to draw: axes all the same */
    assert_non_null(strstr(out, "</svg>"));
    assert_null(strstr(out, "nan"));
    free(out);
}

static void text_is_escaped(void **state)
{
    char *out = drawn(NULL, NULL, 0, "<script>alert(\"a\" & 'b')</script>\x01\x1f\xEF\xBF\xBF é\t");

    (void)state;
    assert_string_equal(out, "&lt;script&gt;alert(&quot;a&quot; &amp; "
                             "&#39;b&#39;)&lt;/script&gt;\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD é\t");
    free(out);
}

/* On a narrow screen ticks are 13.5 units high and a digit up to 8.6 wide; the label of y stands
 * left of 20. */
static void the_label_of_y_has_its_place(void **state)
{
    const double x[2] = {0, 1}, y[2] = {-1.25e-7, 1.25e-7};
    const struct plot_series s = {.name = "a", .count = 2, .x = x, .y = y, .line = 1};
    const struct plot p = {"t", "x", "y", .floor_y = NAN, .line_y = NAN};
    size_t n, ticks = 0;
    char *text = NULL;
    FILE *f = open_memstream(&text, &n);

    (void)state;
    assert_non_null(f);
    plot_lines(f, &p, &s, 1);
    fclose(f);
    for (char *at = text; (at = strstr(at, "class=\"tick\" text-anchor=\"end\">")); ticks++) {
        const char *word = strchr(at, '>') + 1, *tag = at;
        double letters = 0;

        while (strncmp(tag, "<text x=", 8) != 0)
            tag--;
        for (at++; *word != '<'; word++)
            letters += ((unsigned char)*word & 0xC0) != 0x80;
        assert_true(strtod(tag + 9, NULL) - 8.6 * letters >= 20);
    }
    assert_true(ticks >= 2);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_ranges), cmocka_unit_test(scales_are_round_and_cover),
        cmocka_unit_test(ticks_are_round),   cmocka_unit_test(numbers_are_readable),
        cmocka_unit_test(ranks_are_thinned), cmocka_unit_test(paths_break_at_gaps),
        cmocka_unit_test(text_is_escaped),   cmocka_unit_test(the_label_of_y_has_its_place)};
    return cmocka_run_group_tests_name("plot_scale", tests, NULL, NULL);
}
