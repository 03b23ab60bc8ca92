/* SPDX-License-Identifier: Apache-2.0 */
/* plot - see plot.h. One size for all charts: the page arranges and scales them. */
#include "plot.h"

#include <math.h>
#include <string.h>

#include "plot_parts.h"
#include "plot_scale.h"

#define HEIGHT 320.0
#define LABEL 20.0 /* the label of y, turned, ends here; its ticks begin behind it */
#define DIGIT 8.6  /* of a tick on a narrow screen, where the style sheet has it larger */
#define KEYS 16.0  /* where title and legend begin */
#define TOP 34.0
#define BOTTOM 44.0
#define ROW 18.0
#define ORDERED 6

struct axes {
    struct scale x, y;
    double left; /* where the plot begins: behind label and ticks of y */
};

void html_text(FILE *f, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        switch (*p) {
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '&':
            fputs("&amp;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        case '\'':
            fputs("&#39;", f);
            break;
        default:
            if (*p < 32 && *p != '\t' && *p != '\n')
                fputs("\xEF\xBF\xBD", f);
            else if (*p == 0xEF && p[1] == 0xBF &&
                     (p[2] == 0xBE ||
                      p[2] == 0xBF)) { /* U+FFFE and U+FFFF are no characters of XML */
                fputs("\xEF\xBF\xBD", f);
                p += 2;
            } else
                fputc(*p, f);
        }
}

static void colour(FILE *f, const struct plot *p, size_t i, size_t n)
{
    if (!p->ordered)
        fprintf(f, "c%zu", i % PLOT_COLOURS);
    else
        fprintf(f, "q%zu", n > 1 ? (i * (ORDERED - 1) + (n - 1) / 2) / (n - 1) : 0);
}

/* Marks differ in shape; all are about as large. */
static void mark(FILE *f, size_t shape, double x, double y, double r)
{
    switch (shape % 4) {
    case 0:
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"", x, y, r);
        break;
    case 1:
        fprintf(f, "<path d=\"M%.1f %.1fh%.1fv%.1fh%.1fz\"", x - r, y - r, 2 * r, 2 * r, -2 * r);
        break;
    case 2:
        fprintf(f, "<path d=\"M%.1f %.1fl%.1f %.1fh%.1fz\"", x, y - 1.4 * r, 1.25 * r, 2.2 * r,
                -2.5 * r);
        break;
    default:
        fprintf(f, "<path d=\"M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz\"", x, y - 1.35 * r,
                1.35 * r, 1.35 * r, -1.35 * r, 1.35 * r, -1.35 * r, -1.35 * r);
    }
}

void plot_words(FILE *f, double x, double y, const char *class, const char *anchor,
                const char *text)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, class, anchor);
    html_text(f, text);
    fputs("</text>\n", f);
}

/* Characters of several bytes count once. */
static double letters(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return (double)n;
}

/* Width of a text in the picture, roughly. */
static double text_width(const char *s)
{
    return 6.9 * letters(s);
}

/* Where entry i of the legend stands; returns the number of rows. */
static size_t legend_place(const char *const *names, size_t n, size_t i, double *x, size_t *row)
{
    double at = KEYS;
    size_t line = 0;

    for (size_t k = 0; k < n; k++) {
        double w = text_width(names[k]) + 40;

        if (at + w > PLOT_WIDTH && k) {
            at = KEYS;
            line++;
        }
        if (k == i) {
            *x = at;
            *row = line;
        }
        at += w;
    }
    return line + 1;
}

double plot_legend_height(const char *const *names, size_t n)
{
    double x;
    size_t row;

    return n ? ROW * (double)legend_place(names, n, 0, &x, &row) + 6 : 0;
}

void plot_start(FILE *f, const char *title, double height)
{
    fprintf(f, "<figure><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\"><title>", PLOT_WIDTH, height);
    html_text(f, title);
    fputs("</title>\n", f);
    plot_words(f, KEYS, 18, "head", "start", title);
}

/* The room that the ticks of y take decides where the plot begins. */
static double left_of(const struct scale *y)
{
    struct ticks t;
    char text[SCALE_TEXT];
    double left = 70;

    scale_ticks(y, 5, 0, &t);
    for (size_t i = 0; i < t.count; i++) {
        number_text(t.at[i], 3, text);
        left = fmax(left, LABEL + DIGIT * letters(text) + 7);
    }
    return left;
}

static void axis_y(FILE *f, const struct plot *p, const struct axes *r)
{
    struct ticks t;
    char text[SCALE_TEXT];

    scale_ticks(&r->y, 5, 0, &t);
    for (size_t i = 0; i < t.count; i++) {
        double y = scale_at(&r->y, t.at[i]);

        number_text(t.at[i], 3, text);
        fprintf(f, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", r->x.from, y, r->x.to);
        plot_words(f, r->left - 7, y + 4, "tick", "end", text);
    }
    fprintf(f,
            "<text transform=\"translate(14 %.1f) rotate(-90)\" class=\"label\" "
            "text-anchor=\"middle\">",
            (r->y.from + r->y.to) / 2);
    html_text(f, p->y_label);
    fputs("</text>\n", f);
}

static void axis_x(FILE *f, const struct plot *p, const struct axes *r)
{
    struct ticks t;
    char text[SCALE_TEXT];

    scale_ticks(&r->x, 8, p->whole_x, &t);
    fprintf(f, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", r->left, r->y.from,
            PLOT_WIDTH - PLOT_RIGHT);
    for (size_t i = 0; i < t.count; i++) {
        double x = scale_at(&r->x, t.at[i]);

        number_text(t.at[i], 3, text);
        fprintf(f, "<path class=\"axis\" d=\"M%.1f %.1fv4\"/>", x, r->y.from);
        plot_words(f, x, r->y.from + 17, "tick", "middle", text);
    }
    plot_words(f, (r->x.from + r->x.to) / 2, r->y.from + 35, "label", "middle", p->x_label);
}

static void grow(double v, int log, double *lo, double *hi)
{
    if (!isfinite(v) || (log && v <= 0))
        return;
    *lo = v < *lo ? v : *lo;
    *hi = v > *hi ? v : *hi;
}

static void fit(const struct plot *p, const struct plot_series *s, size_t n, struct axes *r)
{
    double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY, inset = p->log_x ? 0 : 8;

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < s[i].count; k++) {
            /* gaps too: charts beside each other show the same blocks */
            grow(s[i].x[k], p->log_x, &x0, &x1);
            grow(s[i].y[k], p->log_y, &y0, &y1);
        }
    grow(p->floor_y, p->log_y, &y0, &y1);
    grow(p->line_y, p->log_y, &y0, &y1);
    scale_fit(&r->y, y0, y1, p->log_y, HEIGHT - BOTTOM, TOP);
    r->left = left_of(&r->y);
    scale_exact(&r->x, x0, x1, p->log_x, r->left + inset, PLOT_WIDTH - PLOT_RIGHT - inset);
}

static void series_line(FILE *f, const struct axes *r, const struct plot_series *s, size_t dash)
{
    static const char *const dashes[] = {"", " stroke-dasharray=\"7 3\"",
                                         " stroke-dasharray=\"2 3\"",
                                         " stroke-dasharray=\"9 3 2 3\""};
    int down = 0;

    fputs("<path class=\"line\" d=\"", f);
    for (size_t k = 0; k < s->count; k++) {
        double x = scale_at(&r->x, s->x[k]), y = scale_at(&r->y, s->y[k]);

        if (!isfinite(x) || !isfinite(y)) {
            down = 0;
            continue;
        }
        fprintf(f, "%c%.1f %.1f", down ? 'L' : 'M', x, y);
        down = 1;
    }
    fprintf(f, "\"%s/>\n", dashes[dash % 4]);
}

static void series_points(FILE *f, const struct plot *p, const struct axes *r,
                          const struct plot_series *s, size_t shape)
{
    char at[SCALE_TEXT], value[SCALE_TEXT];

    for (size_t k = 0; k < s->count; k++) {
        double x = scale_at(&r->x, s->x[k]), y = scale_at(&r->y, s->y[k]);

        if (!isfinite(x) || !isfinite(y))
            continue;
        if (s->ring && s->ring[k])
            fprintf(f, "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"6.5\"/>", x, y);
        mark(f, shape, x, y, s->count > 40 ? 1.8 : 3.1);
        number_text(s->x[k], 6, at);
        number_text(s->y[k], 4, value);
        fputs("><title>", f);
        html_text(f, s->name);
        fprintf(f, ", ");
        html_text(f, p->x_label);
        fprintf(f, " %s: %s</title>%s\n", at, value, shape % 4 == 0 ? "</circle>" : "</path>");
    }
}

static void legend_entry(FILE *f, const struct plot *p, const struct plot_series *s, size_t i,
                         size_t n, double x, double y)
{
    const double xs[2] = {x, x + 22}, ys[2] = {y - 4, y - 4};
    const struct axes unit = {.x = {x, x + 22, x, x + 22, 0}, .y = {0, 1, 0, 1, 0}, .left = x};
    const struct plot_series sample = {.name = s->name, .count = 2, .x = xs, .y = ys};

    fputs("<g class=\"", f);
    colour(f, p, i, n);
    fputs("\">", f);
    if (s->line)
        series_line(f, &unit, &sample, p->ordered || !s->points ? i : 0);
    if (s->points) {
        mark(f, i, x + 11, y - 4, 3.1);
        fputs("/>", f);
    }
    fputs("</g>", f);
    plot_words(f, x + 27, y, "key", "start", s->name);
}

void plot_lines(FILE *f, const struct plot *p, const struct plot_series *s, size_t n)
{
    const char *names[64];
    struct axes r;
    double x = 0;
    size_t row = 0;

    n = n < 64 ? n : 64;
    for (size_t i = 0; i < n; i++)
        names[i] = s[i].name;
    fit(p, s, n, &r);
    plot_start(f, p->title, HEIGHT + plot_legend_height(names, n));
    axis_y(f, p, &r);
    axis_x(f, p, &r);
    if (isfinite(p->line_y)) {
        double y = scale_at(&r.y, p->line_y);

        fprintf(f, "<path class=\"limit\" d=\"M%.1f %.1fH%.1f\"/>", r.left, y,
                PLOT_WIDTH - PLOT_RIGHT);
        plot_words(f, PLOT_WIDTH - PLOT_RIGHT - 4, y - 5, "tick", "end", p->line_name);
    }
    for (size_t i = 0; i < n; i++) {
        fputs("<g class=\"", f);
        colour(f, p, i, n);
        fputs("\">", f);
        if (s[i].line)
            series_line(f, &r, &s[i], p->ordered || !s[i].points ? i : 0);
        if (s[i].points)
            series_points(f, p, &r, &s[i], i);
        fputs("</g>\n", f);
    }
    for (size_t i = 0; i < n; i++) {
        legend_place(names, n, i, &x, &row);
        legend_entry(f, p, &s[i], i, n, x, HEIGHT + 12 + ROW * (double)row);
    }
    fputs("</svg></figure>\n", f);
}

void plot_legend(FILE *f, const char *const *names, size_t n, double y)
{
    double x = 0;
    size_t row = 0;

    for (size_t i = 0; i < n; i++) {
        legend_place(names, n, i, &x, &row);
        fprintf(f, "<rect class=\"c%zu\" x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\"/>",
                i % PLOT_COLOURS, x + 8, y + 2 + ROW * (double)row);
        plot_words(f, x + 27, y + 12 + ROW * (double)row, "key", "start", names[i]);
    }
}

static void bar(FILE *f, const struct axes *r, double x, double w, double v, size_t i,
                const char *name, const char *unit)
{
    double y = scale_at(&r->y, v), low = scale_at(&r->y, 0);
    char text[SCALE_TEXT];

    if (!isfinite(y))
        return;
    number_text(v, 2, text); /* the table beside it has more digits */
    fprintf(f, "<rect class=\"c%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>",
            i % PLOT_COLOURS, x, y, w, low - y);
    html_text(f, name);
    fprintf(f, ": %s %s</title></rect>\n", text, unit);
    if (text_width(text) * 0.75 <= w + 2)
        plot_words(f, x + w / 2, y - 4, "small", "middle", text);
}

void plot_bars(FILE *f, const struct plot *p, const char *const *series, size_t nseries,
               const char *const *groups, size_t ngroups, const double *value, const char *unit)
{
    struct axes r;
    double top = 0, low = 0, step, w;
    size_t every = (size_t)ceil((double)ngroups / 12);

    for (size_t i = 0; i < ngroups * nseries; i++)
        grow(value[i], 0, &low, &top);
    scale_fit(&r.y, 0, top > 0 ? top : 1, 0, HEIGHT - BOTTOM, TOP + 8);
    r.left = left_of(&r.y);
    scale_exact(&r.x, 0, 1, 0, r.left, PLOT_WIDTH - PLOT_RIGHT);
    step = (PLOT_WIDTH - PLOT_RIGHT - r.left) / (double)(ngroups ? ngroups : 1);
    w = step * 0.78 / (double)(nseries ? nseries : 1);
    plot_start(f, p->title, HEIGHT + plot_legend_height(series, nseries));
    axis_y(f, p, &r);
    for (size_t g = 0; g < ngroups; g++)
        for (size_t i = 0; i < nseries; i++)
            bar(f, &r, r.left + step * ((double)g + 0.11) + w * (double)i + 0.5,
                w - 1 > 0.5 ? w - 1 : 0.5, value[g * nseries + i], i, series[i], unit);
    fprintf(f, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", r.left, r.y.from,
            PLOT_WIDTH - PLOT_RIGHT);
    for (size_t g = 0; g < ngroups; g += every)
        plot_words(f, r.left + step * ((double)g + 0.5), r.y.from + 17, "tick", "middle",
                   groups[g]);
    plot_words(f, (r.left + PLOT_WIDTH - PLOT_RIGHT) / 2, r.y.from + 35, "label", "middle",
               p->x_label);
    plot_legend(f, series, nseries, HEIGHT);
    fputs("</svg></figure>\n", f);
}
