/* SPDX-License-Identifier: Apache-2.0 */
/* plot_scale - see plot_scale.h. Round numbers are 1, 2 and 5 times a power of ten. */
#include "plot_scale.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double steps[] = {1, 2, 5, 10};

/* The step of about want parts of a span. */
static double round_step(double span, size_t want)
{
    double raw = span / (double)(want ? want : 1), power = pow(10, floor(log10(raw)));

    for (size_t i = 0; i < 4; i++)
        if (raw <= steps[i] * power * (1 + 1e-9))
            return steps[i] * power;
    return 10 * power;
}

/* The next of 1, 2, 5 times 10^n at or below (above) v. */
static double round_log(double v, int up)
{
    double power = pow(10, floor(log10(v) + 1e-9)), found = power;

    for (size_t i = 0; i < 4; i++) {
        if (steps[i] * power <= v * (1 + 1e-9))
            found = steps[i] * power;
        if (up && steps[i] * power >= v * (1 - 1e-9))
            return steps[i] * power;
    }
    return found;
}

void scale_exact(struct scale *s, double lo, double hi, int log, double from, double to)
{
    if (!isfinite(lo) || !isfinite(hi) || hi < lo || (log && lo <= 0)) {
        lo = log ? 1 : 0;
        hi = log ? 10 : 1;
    }
    *s = (struct scale){lo, hi, from, to, log};
}

void scale_fit(struct scale *s, double lo, double hi, int log, double from, double to)
{
    scale_exact(s, lo, hi, log, from, to);
    if (log) {
        s->lo = round_log(s->lo, 0);
        s->hi = round_log(s->hi, 1);
        if (s->hi <= s->lo * (1 + 1e-9)) {
            s->lo /= 10;
            s->hi *= 10;
        }
    } else {
        double pad = s->hi > s->lo ? 0 : s->lo != 0 ? fabs(s->lo) / 2 : 0.5;
        double step = round_step(s->hi - s->lo + 2 * pad, 5);

        s->lo = floor((s->lo - pad) / step + 1e-9) * step;
        s->hi = ceil((s->hi + pad) / step - 1e-9) * step;
    }
}

double scale_at(const struct scale *s, double v)
{
    double share;

    if (s->log && !(v > 0))
        return NAN;
    if (s->hi == s->lo)
        return (s->from + s->to) / 2;
    share = s->log ? log(v / s->lo) / log(s->hi / s->lo) : (v - s->lo) / (s->hi - s->lo);
    return s->from + share * (s->to - s->from);
}

static void tick_add(const struct scale *s, struct ticks *t, double v)
{
    double slack = s->log ? 0 : 1e-9 * (s->hi - s->lo);

    if (t->count < TICKS_MAX && v >= s->lo * (s->log ? 1 - 1e-9 : 1) - slack &&
        v <= s->hi * (s->log ? 1 + 1e-9 : 1) + slack)
        t->at[t->count++] = v;
}

/* Decades, every few of them when there are many; 1-2-5 within them when there are few. */
static void ticks_log(const struct scale *s, size_t want, struct ticks *t)
{
    int first = (int)floor(log10(s->lo) + 1e-9), last = (int)ceil(log10(s->hi) - 1e-9);
    double decades = log10(s->hi / s->lo);
    int every = (int)ceil(decades / (double)(want ? want : 1)),
        fine = decades * 3 <= (double)want + 3.5;

    for (int d = first; d <= last; d++)
        for (size_t i = 0; i < (fine ? 3 : 1); i++)
            if (every <= 1 || d % every == 0)
                tick_add(s, t, steps[i] * pow(10, d));
}

void scale_ticks(const struct scale *s, size_t want, int whole, struct ticks *t)
{
    double step;

    t->count = 0;
    want = want < TICKS_MAX - 2 ? want : TICKS_MAX - 2;
    if (s->hi == s->lo) {
        tick_add(s, t, s->lo);
    } else if (s->log) {
        ticks_log(s, want, t);
    } else {
        step = round_step(s->hi - s->lo, want);
        step = whole && step < 1 ? 1 : step;
        for (double i = ceil(s->lo / step - 1e-9);
             i * step <= s->hi + 1e-9 * step && t->count < TICKS_MAX; i++)
            tick_add(s, t, i == 0 ? 0 : i * step);
    }
}

static void put_text(char out[SCALE_TEXT], size_t *n, const char *text)
{
    size_t more = strlen(text);

    if (*n + more < SCALE_TEXT) {
        memcpy(out + *n, text, more + 1);
        *n += more;
    }
}

static void put_power(char out[SCALE_TEXT], int power)
{
    static const char *const raised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    char digits[12];
    size_t n = strlen(out);

    put_text(out, &n, "10");
    snprintf(digits, sizeof digits, "%d", power);
    for (const char *p = digits; *p; p++)
        put_text(out, &n, *p == '-' ? "⁻" : raised[*p - '0']);
}

/* Commas between thousands of the whole part; zeros at the end of a fraction go. */
static void put_plain(const char *text, char out[SCALE_TEXT])
{
    const char *dot = strchr(text, '.'), *p = text;
    size_t whole = dot ? (size_t)(dot - text) : strlen(text), end = strlen(text), n = 0;

    while (dot && (text[end - 1] == '0' || text[end - 1] == '.'))
        if (text[--end] == '.')
            break;
    if (*p == '-') {
        put_text(out, &n, "−");
        p++;
    }
    for (; p < text + end && n + 2 < SCALE_TEXT; p++) {
        out[n++] = *p;
        if (p + 1 < text + whole && (text + whole - p - 1) % 3 == 0)
            out[n++] = ',';
    }
    out[n] = '\0';
}

void number_text(double v, int digits, char out[SCALE_TEXT])
{
    char text[SCALE_TEXT];
    double size = fabs(v);
    int power, after;

    *out = '\0';
    if (!isfinite(v)) {
        memcpy(out, "–", sizeof "–");
        return;
    }
    if (v == floor(v) && size < 1e6) {
        snprintf(text, sizeof text, "%.0f", v);
        put_plain(text, out);
        return;
    }
    snprintf(text, sizeof text, "%.*e", digits - 1, v);
    power = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if ((power >= -4 && power < 6) || (v == floor(v) && size < 1e15)) {
        after = v == floor(v) || digits - 1 - power < 0 ? 0 : digits - 1 - power;
        snprintf(text, sizeof text, "%.*f", after, v);
        put_plain(text, out);
        return;
    }
    *strchr(text, 'e') = '\0';
    put_plain(text, out);
    if (strcmp(out, "1") == 0)
        *out = '\0';
    else if (strlen(out) + sizeof "×" < SCALE_TEXT)
        memcpy(out + strlen(out), "×", sizeof "×");
    put_power(out, power);
}

static void put_unit(double v, const char *unit, char out[SCALE_TEXT])
{
    size_t n;

    number_text(v, 3, out);
    n = strlen(out);
    put_text(out, &n, " ");
    put_text(out, &n, unit);
}

void seconds_text(double v, char out[SCALE_TEXT])
{
    if (!(v >= 0) || v > 1e12)
        number_text(NAN, 3, out);
    else if (v < 0.9995)
        put_unit(v * 1000, "ms", out);
    else if (v < 99.95)
        put_unit(v, "s", out);
    else if (v < 3599.5)
        snprintf(out, SCALE_TEXT, "%.0f min %02.0f s", floor((v + 0.5) / 60),
                 floor(v + 0.5) - 60 * floor((v + 0.5) / 60));
    else
        snprintf(out, SCALE_TEXT, "%.0f h %02.0f min", floor((v + 30) / 3600),
                 floor((v + 30) / 60) - 60 * floor((v + 30) / 3600));
}

void percent_text(double share, char out[SCALE_TEXT])
{
    put_unit(100 * share, "%", out);
}

void rank_thin(size_t n, size_t max, size_t *index, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < max && n; i++) {
        double at = max > 1 ? exp(log((double)n) * (double)i / (double)(max - 1)) - 1 : 0;
        size_t k = (size_t)(at + 0.5);

        k = i + 1 == max || k > n - 1 ? n - 1 : k;
        if (!*count || index[*count - 1] < k)
            index[(*count)++] = k;
    }
}
