/* SPDX-License-Identifier: Apache-2.0 */
/* law_page - see law_page.h. The pictures are those of ptq-report. */
#include "law_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../report/page.h"
#include "../report/plot.h"

#define STEPS 25     /* of a line of the law */
#define LINES_MAX 16 /* of a picture */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

/* Is point i the first of its model, or of its model and block size? */
static int is_first(const struct law_points *p, size_t i, int by_block)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(p->at[k].model, p->at[i].model) == 0 &&
            (!by_block || fabs(p->at[k].qb - p->at[i].qb) < .5))
            return 0;
    return 1;
}

static struct plot chart(const char *title, const char *x_label, const char *y_label, int log_y)
{
    return (struct plot){.title = title,
                         .x_label = x_label,
                         .y_label = y_label,
                         .log_y = log_y,
                         .floor_y = NAN,
                         .line_y = NAN};
}

/* The points of one block size, and the law beside them. */
static void add_block(struct page_lines *lines, const struct law *l, const struct law_points *p,
                      size_t first, char name[2][64])
{
    const struct law_point *x = &p->at[first];
    struct plot_series *line, *points;

    snprintf(name[0], 64, "law, Qb %.0f", x->qb);
    snprintf(name[1], 64, "measured, Qb %.0f", x->qb);
    line = lines_get(lines, name[0], 1, 0);
    points = line ? lines_get(lines, name[1], 0, 1) : NULL;
    for (size_t k = 0; points && k <= STEPS; k++) {
        const double qr = (double)k / STEPS;

        lines_add(lines, line, qr, law_predict(l, x->params, qr, x->qb).value, 0);
    }
    for (size_t i = 0; points && i < p->count; i++)
        if (strcmp(p->at[i].model, x->model) == 0 && fabs(p->at[i].qb - x->qb) < .5)
            lines_add(lines, points, p->at[i].qr, p->at[i].delta, 0);
}

static int surface(struct page *page, const struct law *l, const struct law_points *p, size_t model)
{
    char name[LINES_MAX][2][64], title[128];
    const size_t room = p->count + STEPS + 1;
    struct page_lines lines;
    struct plot plot;
    size_t n = 0;

    if (lines_init(&lines, 2 * (size_t)LINES_MAX, room, page->e) < 0)
        return -1;
    snprintf(title, sizeof title, "%.60s, %.4g weights", base_name(p->at[model].model),
             p->at[model].params);
    for (size_t i = 0; i < p->count && n < LINES_MAX; i++)
        if (strcmp(p->at[i].model, p->at[model].model) == 0 && is_first(p, i, 1))
            add_block(&lines, l, p, i, name[n++]);
    plot = chart(title, "Qr, share of the weights that is quantized", "delta", 1);
    plot_lines(page->f, &plot, lines.s, lines.n);
    lines_release(&lines);
    return 0;
}

static int residuals(struct page *page, const struct law *l, const struct law_points *p)
{
    struct plot plot =
        chart("What the law leaves", "delta, as the law has it", "ln (measured / law)", 0);
    struct page_lines lines;

    plot.log_x = 1;
    plot.line_y = 0;
    plot.line_name = "the law";
    if (lines_init(&lines, LINES_MAX, p->count, page->e) < 0)
        return -1;
    for (size_t i = 0; i < p->count; i++) {
        const struct law_point *x = &p->at[i];
        const double law = law_predict(l, x->params, x->qr, x->qb).value;
        struct plot_series *s = lines_get(&lines, base_name(x->model), 0, 1);

        if (s)
            lines_add(&lines, s, law, log(x->delta / law), 0);
    }
    plot_lines(page->f, &plot, lines.s, lines.n);
    lines_release(&lines);
    return 0;
}

static void constants(struct page *page, const struct law_fit *fit)
{
    static const char *const head[] = {"constant", "value", "from", "to"};

    page_table(page, NULL, head, sizeof head / sizeof *head);
    for (size_t i = 0; i < LAW_CONSTANTS; i++) {
        const struct law_value *v = &fit->constant[i];

        if (isnan(v->low))
            continue;
        page_row(page);
        page_cell(page, law_constant_name(i));
        page_number(page, v->value, 4);
        page_number(page, v->low, 4);
        page_number(page, v->high, 4);
        page_row_end(page);
    }
    page_table_end(page, NULL);
    page_note(
        page, "",
        "%zu points of %zu models; R\u00b2 of ln delta %.4g, standard deviation about the law "
        "%.3g. The intervals are of 95 %%.",
        fit->points, fit->models, fit->r2, fit->residual);
    if (!isnan(fit->left_out))
        page_note(page, "",
                  "Of a model that the law has not seen it is off by a factor of %.3g, root mean "
                  "square; most for %s, %.3g.",
                  exp(fit->left_out), base_name(fit->left_out_model), exp(fit->left_out_worst));
}

static int print(FILE *f, const struct law *l, const struct law_points *p, struct err *e)
{
    struct page page = {f, NULL, e};

    page_open(&page, "Scaling law of mixed quantization", "Scaling law of mixed quantization",
              *p->at[0].kind ? p->at[0].kind : "points of one kind");
    page_head(&page, "The law");
    page_note(&page, "", "delta = C exp(A Qr) N^\u2212gN (Qb + d)^gc (arXiv 2410.06722)");
    constants(&page, law_fitted(l));
    page_head(&page, "Its surface");
    fputs("<div class=\"charts\">\n", f);
    for (size_t i = 0; i < p->count; i++)
        if (is_first(p, i, 0) && surface(&page, l, p, i) < 0)
            return -1;
    fputs("</div>\n", f);
    page_head(&page, "Residuals");
    if (residuals(&page, l, p) < 0)
        return -1;
    return page_close(&page);
}

int law_page(const char *path, const struct law *l, const struct law_points *p, struct err *e)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    int rc = f ? print(f, l, p, e) : err_sys(e, "no memory for the page");

    if (f && fclose(f) && rc == 0)
        rc = err_sys(e, "no memory for the page");
    if (rc == 0)
        rc = fs_publish(path, text, n, e);
    free(text);
    return rc;
}
