/* SPDX-License-Identifier: Apache-2.0 */
/* report_classes - section on how the solutions fare on each class of calibration rows:
 * sequences of one length, positions of one band, text and images (ptq-reduce --classes), and what
 * the sequences of one length alone would have given (ptq-solve --cross length). */
#include "sections.h"

#include <math.h>
#include <string.h>

#include "plot.h"

#define CURVES 32

static int is_same(const struct json *a, const struct json *b)
{
    return strcmp(json_as_text(json_get(a, "kind")), json_as_text(json_get(b, "kind"))) == 0 &&
           strcmp(json_as_text(json_get(a, "name")), json_as_text(json_get(b, "name"))) == 0;
}

static int is_kind(const struct json *c, const char *kind)
{
    return strcmp(json_as_text(json_get(c, "kind")), kind) == 0;
}

/* The class at another site; NULL: it has no such rows. */
static const struct json *class_at(const struct report_site *s, const struct json *like)
{
    for (size_t i = 0; i < json_count(s->j.classes); i++)
        if (is_same(json_at(s->j.classes, i), like))
            return json_at(s->j.classes, i);
    return NULL;
}

static double amount_of(const struct json *c, const char *number)
{
    return json_real_or(c, "sum_w", NAN) * (number ? json_real_or(c, number, NAN) : 1);
}

/* Share of the class in what all classes of its kind give: weight times energy or loss; number
 * NULL: weight. */
static double share_of(const struct report_site *s, const struct json *c, const char *number)
{
    double all = 0;

    for (size_t i = 0; i < json_count(s->j.classes); i++)
        if (is_kind(json_at(s->j.classes, i), json_as_text(json_get(c, "kind"))))
            all += amount_of(json_at(s->j.classes, i), number);
    return all > 0 ? amount_of(c, number) / all : NAN;
}

static double rel_loss(const struct json *c)
{
    return json_real_or(c, "loss", NAN) / json_real_or(c, "energy", NAN);
}

/* The site whose classes name all: the one that has most. */
static const struct report_site *fullest(const struct report *r)
{
    const struct report_site *most = NULL;

    for (size_t i = 0; i < r->nsites; i++)
        if (r->site[i].j.classes &&
            (!most || json_count(r->site[i].j.classes) > json_count(most->j.classes)))
            most = &r->site[i];
    return most;
}

struct mean {
    double sum;
    size_t n;
};

static void mean_add(struct mean *m, double v)
{
    if (!isfinite(v))
        return;
    m->sum += v;
    m->n++;
}

static double mean_of(const struct mean *m)
{
    return m->n ? m->sum / (double)m->n : NAN;
}

static void class_row(struct page *p, const struct json *like)
{
    struct mean rel = {0}, energy = {0}, loss = {0}, weight = {0}, effective = {0};

    for (size_t i = 0; i < p->r->nsites; i++) {
        const struct report_site *s = &p->r->site[i];
        const struct json *c = class_at(s, like);

        if (!c)
            continue;
        mean_add(&rel, log(rel_loss(c)));
        mean_add(&energy, share_of(s, c, "energy"));
        mean_add(&loss, share_of(s, c, "loss"));
        mean_add(&weight, share_of(s, c, NULL));
        mean_add(&effective, json_real_or(c, "effective", NAN));
    }
    page_row(p);
    page_cell(p, json_as_text(json_get(like, "name")));
    page_number(p, json_real_or(like, "tokens", NAN), 16);
    page_percent(p, mean_of(&weight));
    page_percent(p, mean_of(&energy));
    page_percent(p, mean_of(&loss));
    page_number(p, exp(mean_of(&rel)), 3);
    if (json_get(like, "effective"))
        page_number(p, floor(mean_of(&effective) + 0.5), 16);
    page_row_end(p);
}

static void kind_table(struct page *p, const struct report_site *all, const char *kind)
{
    const char *const head[] = {kind,
                                "tokens",
                                "share of the weight",
                                "share of the energy",
                                "share of the loss",
                                "relative loss",
                                "effective sample size"};
    const size_t columns = sizeof head / sizeof *head;
    int effective = 0;

    for (size_t i = 0; i < json_count(all->j.classes); i++)
        effective |= is_kind(json_at(all->j.classes, i), kind) &&
                     json_get(json_at(all->j.classes, i), "effective");
    page_table(p, NULL, head, effective ? columns : columns - 1);
    for (size_t i = 0; i < json_count(all->j.classes); i++)
        if (is_kind(json_at(all->j.classes, i), kind))
            class_row(p, json_at(all->j.classes, i));
    page_table_end(p, NULL);
}

/* Relative loss over the blocks, one line a class of this kind. */
static int class_chart(struct page *p, const struct report_site *all, const char *kind, size_t site)
{
    const struct report *r = p->r;
    struct plot plot = {.title = r->kind[site],
                        .x_label = "block",
                        .whole_x = 1,
                        .y_label = "relative loss",
                        .log_y = 1,
                        .ordered = 1,
                        .floor_y = NAN,
                        .line_y = NAN};
    struct page_lines l;

    if (lines_init(&l, CURVES, r->nsites, p->e))
        return -1;
    for (size_t k = 0; k < json_count(all->j.classes); k++) {
        const struct json *like = json_at(all->j.classes, k);
        struct plot_series *line =
            is_kind(like, kind) ? lines_get(&l, json_as_text(json_get(like, "name")), 1, 1) : NULL;

        for (size_t i = 0; line && i < r->nsites; i++) {
            const struct json *c = r->site[i].kind == site ? class_at(&r->site[i], like) : NULL;

            if (c)
                lines_add(&l, line, (double)r->site[i].j.block, rel_loss(c), 0);
        }
    }
    if (l.n)
        plot_lines(p->f, &plot, l.s, l.n);
    lines_release(&l);
    return 0;
}

static int kind_section(struct page *p, const struct report_site *all, const char *kind,
                        const char *title)
{
    int rc = 0;

    for (size_t i = 0; i < json_count(all->j.classes); i++)
        rc = rc || is_kind(json_at(all->j.classes, i), kind);
    if (!rc)
        return 0;
    fprintf(p->f, "<h3>%s</h3>\n", title);
    kind_table(p, all, kind);
    fputs("<div class=\"charts\">\n", p->f);
    rc = 0;
    for (size_t k = 0; k < p->r->nkinds && rc == 0; k++)
        rc = class_chart(p, all, kind, k);
    fputs("</div>\n", p->f);
    return rc;
}

/* Geometric mean over the sites of the loss of the solution from one length (place `from` of the
 * lists) over that of the run's own. */
static double crossed(const struct report *r, const struct json *like, size_t from)
{
    struct mean m = {0};
    double v;

    for (size_t i = 0; i < r->nsites; i++) {
        const struct json *c = class_at(&r->site[i], like);

        if (c && json_as_real(json_at(json_get(c, "cross"), from), &v) == 0)
            mean_add(&m, log(v / json_real_or(c, "loss", NAN)));
    }
    return exp(mean_of(&m));
}

static void cross_table(struct page *p, const struct report_site *all)
{
    const size_t n = json_count(all->j.classes);
    const char *head[1 + JOURNAL_CLASSES] = {"rows of"};
    char name[JOURNAL_CLASSES][80];
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        const struct json *c = json_at(all->j.classes, i);

        snprintf(name[i], sizeof name[i], "on %s%.40s", is_kind(c, "position") ? "at " : "",
                 json_as_text(json_get(c, "name")));
        head[1 + i] = name[i];
    }
    page_table(p, NULL, head, 1 + n);
    for (size_t i = 0; i < n; i++) {
        if (!is_kind(json_at(all->j.classes, i), "length"))
            continue;
        page_row(p);
        page_cell(p, json_as_text(json_get(json_at(all->j.classes, i), "name")));
        for (size_t k = 0; k < n; k++)
            page_number(p, crossed(p->r, json_at(all->j.classes, k), from), 3);
        page_row_end(p);
        from++;
    }
    page_table_end(p, NULL);
}

static int has_cross(const struct report_site *s)
{
    for (size_t i = 0; i < json_count(s->j.classes); i++)
        if (json_count(json_get(json_at(s->j.classes, i), "cross")))
            return 1;
    return 0;
}

int section_classes(struct page *p)
{
    const struct report_site *all = fullest(p->r);

    if (!all)
        return 0;
    page_head(p, "Loss by class of rows");
    page_note(p, "",
              "The same solutions, measured on the rows of one class at a time: sequences of one "
              "length, positions of one band, text or images. Relative loss: "
              "tr((W−Q) H (W−Q)′) over tr(W H W′) with the H of the class, geometric mean over the "
              "sites. Energy: weight times "
              "tr(W H W′), what a class brings into the sum that is solved with; mean over the "
              "sites of its share. A class whose share of "
              "the energy is far above its share of the weight draws the solution to itself.");
    if (kind_section(p, all, "length", "By length of the sequence") ||
        kind_section(p, all, "position", "By position in the sequence") ||
        kind_section(p, all, "modality", "By modality"))
        return -1;
    if (!has_cross(all))
        return 0;
    fputs("<h3>Had only one length been seen</h3>\n", p->f);
    page_note(p, "",
              "Each site was also solved from the sequences of one length alone (the row), and "
              "measured on each class (the column): its loss over "
              "that of the solution of this run, geometric mean over the sites; below 1 is better "
              "than this run. On its own length a solution has "
              "seen the very rows: compare the others. A column that grows upwards or downwards "
              "says that lengths do not speak for each other; "
              "a length with few tokens loses because it has few.");
    cross_table(p, all);
    return 0;
}
