/* SPDX-License-Identifier: Apache-2.0 */
/* report_windows - section on windows of blocks that learned how they are rounded (ptq-slide): what
 * each was off before and behind its steps, and on the way. */
#include "sections.h"

#include <math.h>
#include <stdio.h>

#include "plot.h"

#define CURVES 16
#define NAME 32

static int is_same(const struct json *a, const struct json *b)
{
    static const char *const keys[] = {"first", "blocks"};

    for (size_t i = 0; i < 2; i++)
        if (json_real_or(a, keys[i], -1) != json_real_or(b, keys[i], -1))
            return 0;
    return 1;
}

/* Each site says all windows that held its block: the next one that no site said before; NULL. */
static const struct json *next(const struct report *r, size_t *site, size_t *window)
{
    for (; *site < r->nsites; ++*site, *window = 0)
        while (*window < json_count(r->site[*site].j.windows)) {
            const struct json *x = json_at(r->site[*site].j.windows, (*window)++);
            int said = 0;

            for (size_t i = 0; i < *site && !said; i++)
                for (size_t k = 0; k < json_count(r->site[i].j.windows) && !said; k++)
                    said = is_same(json_at(r->site[i].j.windows, k), x);
            if (!said)
                return x;
        }
    return NULL;
}

static void name_of(const struct json *x, char out[NAME])
{
    const double first = json_real_or(x, "first", 0), count = json_real_or(x, "blocks", 1);

    snprintf(out, NAME, count > 1 ? "%.0f to %.0f" : "%.0f", first, first + count - 1);
}

static void table(struct page *p)
{
    static const char *const head[] = {"blocks", "steps", "before", "behind", "ratio"};
    size_t site = 0, window = 0;
    const struct json *x;

    page_table(p, NULL, head, sizeof head / sizeof *head);
    while ((x = next(p->r, &site, &window))) {
        const double before = json_real_or(x, "before", NAN), after = json_real_or(x, "after", NAN);
        char name[NAME];

        name_of(x, name);
        page_row(p);
        page_cell(p, name);
        page_number(p, json_real_or(x, "steps", NAN), 16);
        page_number(p, before, 4);
        page_number(p, after, 4);
        page_number(p, after / before, 3);
        page_row_end(p);
    }
    page_table_end(p, NULL);
}

static int chart(struct page *p)
{
    const struct plot plot = {.title = "loss on the way",
                              .x_label = "share of the steps, %",
                              .y_label = "loss",
                              .log_y = 1,
                              .ordered = 1,
                              .floor_y = NAN,
                              .line_y = NAN};
    char name[CURVES][NAME];
    struct page_lines l;
    size_t site = 0, window = 0;
    const struct json *x;

    if (lines_init(&l, CURVES, 64, p->e))
        return -1;
    while (l.n < CURVES && (x = next(p->r, &site, &window))) {
        const struct json *curve = json_get(x, "curve");
        const size_t n = json_count(curve);
        struct plot_series *line;

        name_of(x, name[l.n]);
        line = n && n <= 64 ? lines_get(&l, name[l.n], 1, 0) : NULL;
        for (size_t i = 0; line && i < n; i++) {
            double y;

            if (json_as_real(json_at(curve, i), &y) == 0)
                lines_add(&l, line, 100 * ((double)i + 0.5) / (double)n, y, 0);
        }
    }
    if (l.n)
        plot_lines(p->f, &plot, l.s, l.n);
    lines_release(&l);
    return 0;
}

int section_windows(struct page *p)
{
    size_t site = 0, window = 0;

    if (!next(p->r, &site, &window))
        return 0;
    page_head(p, "Windows that learned");
    page_note(p, "",
              "Of each window of blocks the mean of the squares of what it was off behind its last "
              "block, before its first step and behind its last.");
    table(p);
    return chart(p);
}
