/* SPDX-License-Identifier: Apache-2.0 */
/* plot_bands - see plot_bands.h. One path for each band and colour: a page of many processes stays
 * small. */
#include "plot_bands.h"

#include <math.h>

#include "plot.h"
#include "plot_parts.h"
#include "plot_scale.h"

#define TOP 34.0
#define BAND 20.0
#define GAP 6.0
#define LEFT 96.0
#define BOTTOM 40.0

/* Of piece k: its length. */
static double length_of(const struct band *b, size_t k)
{
    return fmin(b->width, b->to - b->from - (double)k * b->width);
}

/* Of piece k: what lies below wait i in the band, as a share of the piece. */
static double below(const struct band *b, size_t k, size_t i)
{
    const double length = length_of(b, k);
    double waited = 0;

    for (size_t j = i; j < b->waits; j++)
        waited += b->wait[j].each[k];
    return length > 0 ? fmax(0, 1 - waited / length) : 0;
}

/* i: the wait; b->waits: the work. Pieces of the same height are one. */
static void layer(FILE *f, const struct scale *x, const struct band *b, size_t i, double top)
{
    const int work = i == b->waits;
    double at = 0, low = 0, high = 0;
    size_t open = 0;

    for (size_t k = 0; k <= b->count; k++) {
        const double from = k < b->count && !work ? below(b, k, i) : 0,
                     to = k == b->count ? 0
                          : work        ? below(b, k, 0)
                                        : below(b, k, i + 1);
        const double l = round(from * BAND * 4) / 4, h = round(to * BAND * 4) / 4;

        if (open && (k == b->count || l != low || h != high)) {
            const double end = scale_at(x, k == b->count ? b->to : b->from + (double)k * b->width);

            if (high > low)
                fprintf(f, "M%.1f %.2fH%.1fv%.2fH%.1fz", at, top + BAND - high, end, high - low,
                        at);
            open = 0;
        }
        if (k < b->count && !open) {
            at = scale_at(x, b->from + (double)k * b->width);
            low = l;
            high = h;
            open = 1;
        }
    }
}

static void band_draw(FILE *f, const struct scale *x, const struct band *b, double top)
{
    const double from = scale_at(x, b->from), to = scale_at(x, b->to);

    plot_words(f, LEFT - 7, top + BAND - 6, "tick", "end", b->name);
    fprintf(f, "<path class=\"grid\" d=\"M%.1f %.1fH%.1fv%.1fH%.1fz\"/>", from, top, to, BAND,
            from);
    for (size_t i = 0; b->count && i <= b->waits; i++) {
        const size_t name = i == b->waits ? 0 : b->wait[i].name;

        fprintf(f, "<path class=\"c%zu\" fill=\"currentColor\"%s d=\"", name % PLOT_COLOURS,
                i == b->waits ? "" : " fill-opacity=\".55\"");
        layer(f, x, b, i, top);
        fputs("\"/>\n", f);
    }
}

void plot_bands(FILE *f, const char *title, double seconds, const struct band *b, size_t n,
                const char *const *names, size_t nnames)
{
    const double height = TOP + (BAND + GAP) * (double)n;
    struct scale x;
    struct ticks t;
    char text[SCALE_TEXT];

    scale_exact(&x, 0, seconds > 0 ? seconds : 1, 0, LEFT, PLOT_WIDTH - PLOT_RIGHT);
    plot_start(f, title, height + BOTTOM + plot_legend_height(names, nnames));
    for (size_t i = 0; i < n; i++)
        band_draw(f, &x, &b[i], TOP + (BAND + GAP) * (double)i);
    fprintf(f, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", LEFT, height,
            PLOT_WIDTH - PLOT_RIGHT);
    scale_ticks(&x, 6, 0, &t);
    for (size_t i = 0; i < t.count; i++) {
        number_text(t.at[i], 4, text);
        fprintf(f, "<path class=\"axis\" d=\"M%.1f %.1fv4\"/>", scale_at(&x, t.at[i]), height);
        plot_words(f, scale_at(&x, t.at[i]), height + 17, "tick", "middle", text);
    }
    plot_words(f, (LEFT + PLOT_WIDTH - PLOT_RIGHT) / 2, height + 33, "label", "middle",
               "seconds since the run began");
    plot_legend(f, names, nnames, height + BOTTOM);
    fputs("</svg></figure>\n", f);
}
