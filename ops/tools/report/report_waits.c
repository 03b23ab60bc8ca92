/* SPDX-License-Identifier: Apache-2.0 */
/* report_waits - the section on who waited for whom (waits.json): each process over the time of the
 * run, and what it waited for in all. */
#include "sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "plot_bands.h"
#include "plot_parts.h"

#define BANDS 48
#define PIECES 1024 /* more than a process ever has */
#define WAITS 16

/* What one process waited for whom: borrowed from the file but for each. */
struct row {
    struct band band;
    struct band_wait wait[WAITS];
    const struct json *waited;
};

struct chart {
    struct row row[BANDS];
    size_t rows, names;
    char name[PLOT_COLOURS][80];
    double *own[BANDS * WAITS]; /* all that bands point to */
    size_t owned;
};

/* "for solve" and "until solve takes" are both for solve. */
static void neighbour(const char *text, char *out, size_t size)
{
    const char *at = strncmp(text, "for ", 4) == 0     ? text + 4
                     : strncmp(text, "until ", 6) == 0 ? text + 6
                                                       : text;
    const size_t n = strcspn(at, " ");

    snprintf(out, size, "waits for %.*s", (int)(n < 60 ? n : 60), at);
}

/* The last one stands for all that have no colour of their own. */
static size_t name_find(struct chart *c, const char *text)
{
    char name[80];
    size_t i = 1;

    neighbour(text, name, sizeof name);
    while (i < c->names && strcmp(c->name[i], name) != 0)
        i++;
    if (i < c->names)
        return i;
    if (i == PLOT_COLOURS - 1)
        snprintf(name, sizeof name, "waits for others");
    if (i == PLOT_COLOURS)
        return PLOT_COLOURS - 1;
    snprintf(c->name[c->names++], sizeof *c->name, "%s", name);
    return i;
}

static int wait_read(struct chart *c, struct row *r, const struct json *w, struct err *e)
{
    const struct json *each = json_get(w, "each");
    const size_t n = json_count(each);
    double *v;

    if (r->band.waits == WAITS || !n || n > PIECES)
        return 0;
    if (!(v = mem_array(PIECES, sizeof *v, e)))
        return -1;
    c->own[c->owned++] = v;
    for (size_t k = 0; k < n; k++)
        if (json_as_real(json_at(each, k), &v[k]) != 0 || !(v[k] >= 0))
            v[k] = 0;
    r->wait[r->band.waits++] =
        (struct band_wait){.name = name_find(c, json_text_or(w, "for", "?")), .each = v};
    r->band.count = n > r->band.count ? n : r->band.count;
    return 0;
}

static int row_read(struct chart *c, const struct json *p, struct err *e)
{
    struct row *r = &c->row[c->rows++];
    struct band *b = &r->band;

    b->name = json_text_or(p, "name", "?");
    b->from = fmax(0, json_real_or(p, "from", 0));
    b->to = fmax(b->from, json_real_or(p, "to", 0));
    b->width = json_real_or(p, "width", 0);
    b->wait = r->wait;
    r->waited = json_get(p, "waited");
    for (size_t i = 0; b->width > 0 && i < json_count(r->waited); i++)
        if (wait_read(c, r, json_at(r->waited, i), e) < 0)
            return -1;
    return 0;
}

static void row_table(struct page *p, const struct row *r)
{
    const double wall = r->band.to - r->band.from;
    char text[400] = "";
    double all = 0;
    size_t n = 0;

    for (size_t i = 0; i < json_count(r->waited); i++) {
        const struct json *w = json_at(r->waited, i);
        const double seconds = json_real_or(w, "seconds", 0);
        char said[SCALE_TEXT];

        all += seconds;
        seconds_text(seconds, said);
        if (seconds >= 0.005 * wall && n + 120 < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %.70s", n ? ", " : "", said,
                                  json_text_or(w, "for", "?"));
    }
    page_row(p);
    page_cell(p, r->band.name);
    page_seconds(p, r->band.from);
    page_seconds(p, wall);
    page_percent(p, wall > 0 ? fmin(1, all / wall) : NAN);
    page_cell(p, text);
    page_row_end(p);
}

static void draw(struct page *p, const struct chart *c, double seconds)
{
    static const char *const head[] = {"<process", "began at", "took", "waited", "<for whom"};
    const char *names[PLOT_COLOURS];
    struct band bands[BANDS];

    for (size_t i = 0; i < c->names; i++)
        names[i] = c->name[i];
    for (size_t i = 0; i < c->rows; i++)
        bands[i] = c->row[i].band;
    fputs("<div class=\"charts\">\n", p->f);
    plot_bands(p->f, "Who worked, and who waited for whom", seconds, bands, c->rows, names,
               c->names);
    fputs("</div>\n", p->f);
    page_table(p, NULL, head, 5);
    for (size_t i = 0; i < c->rows; i++)
        row_table(p, &c->row[i]);
    page_table_end(p, NULL);
    page_note(p, "",
              "A process waits where it stands still at a link: for what another sends, or until "
              "another has taken what it sent. The stage that waits least sets the pace.");
}

int section_waits(struct page *p)
{
    const struct json *list = json_get(p->r->waits, "processes");
    struct chart *c;
    int rc = 0;

    if (!json_count(list))
        return 0;
    if (!(c = mem_array(1, sizeof *c, p->e)))
        return -1;
    snprintf(c->name[c->names++], sizeof *c->name, "at work");
    for (size_t i = 0; rc == 0 && i < json_count(list) && i < BANDS; i++)
        rc = row_read(c, json_at(list, i), p->e);
    page_head(p, "Who waited for whom");
    if (rc == 0)
        draw(p, c, json_real_or(p->r->waits, "seconds", 0));
    if (rc == 0 && json_count(list) > BANDS)
        page_note(p, "missing", "The first %d of %zu processes are shown.", BANDS,
                  json_count(list));
    for (size_t i = 0; i < c->owned; i++)
        free(c->own[i]);
    free(c);
    return rc;
}
