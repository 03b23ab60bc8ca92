/* SPDX-License-Identifier: Apache-2.0 */
/* report_costs - the section on what the run cost: time and memory of the stages (run.json),
 * seconds of the solver and bytes moved (journal). */
#include "sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"

#define STAGES 32

static void stage_row(struct page *p, const struct json *s, const char *name)
{
    page_row(p);
    page_cell(p, name);
    page_number(p, json_real_or(s, "processes", NAN), 6);
    page_seconds(p, json_real_or(s, "wall_s", NAN));
    page_seconds(p, json_real_or(s, "cpu_s", NAN));
    page_percent(p, json_real_or(s, "cpu_s", NAN) / json_real_or(s, "wall_s", NAN));
    page_bytes(p, json_real_or(s, "peak_rss_mib", NAN) * 1048576);
    page_bytes(p, json_real_or(s, "peak_rss_sum_mib", NAN) * 1048576);
    page_row_end(p);
}

static void stages(struct page *p)
{
    static const char *const series[] = {"wall", "CPU"};
    static const char *const head[] = {"<stage", "processes",          "wall",  "CPU",
                                       "load",   "peak memory of one", "of all"};
    const struct plot plot = {.title = "Time of each stage",
                              .x_label = "stage",
                              .y_label = "seconds",
                              .floor_y = 0,
                              .line_y = NAN};
    const struct json *list = json_get(p->r->run, "stages");
    const char *names[STAGES];
    double value[2 * STAGES];
    size_t n = json_count(list) < STAGES ? json_count(list) : STAGES;

    for (size_t i = 0; i < n; i++) {
        names[i] = json_text_or(json_at(list, i), "name", "?");
        value[2 * i] = json_real_or(json_at(list, i), "wall_s", NAN);
        value[2 * i + 1] = json_real_or(json_at(list, i), "cpu_s", NAN);
    }
    plot_bars(p->f, &plot, series, 2, names, n, value, "s");
    fputs("</div>\n", p->f);
    page_table(p, NULL, head, 7);
    for (size_t i = 0; i < n; i++)
        stage_row(p, json_at(list, i), names[i]);
    stage_row(p, p->r->run, "all");
    page_table_end(p, NULL);
    page_note(p, "",
              "Wall: from the start of the stage's first process to the end of its last; stages "
              "run side by side, and wait for each other. "
              "Load: CPU over wall of all its processes.");
}

static int seconds_chart(struct page *p)
{
    const struct report *r = p->r;
    const struct plot plot = {.title = "Solving each site",
                              .x_label = "block",
                              .y_label = "seconds",
                              .whole_x = 1,
                              .log_y = 1,
                              .floor_y = NAN,
                              .line_y = NAN};
    struct page_lines l;

    if (lines_init(&l, r->nkinds, r->nsites, p->e))
        return -1;
    for (size_t k = 0; k < r->nkinds; k++)
        lines_get(&l, r->kind[k], !strchr(r->kind[k], '*'), 1);
    for (size_t i = 0; i < r->nsites; i++)
        lines_add(&l, &l.s[r->site[i].kind], (double)r->site[i].j.block, r->site[i].j.seconds, 0);
    plot_lines(p->f, &plot, l.s, l.n);
    lines_release(&l);
    return 0;
}

static double add(double sum, int64_t v)
{
    return sum + (v < 0 ? NAN : (double)v);
}

static void bytes_row(struct page *p, const char *name, size_t kind)
{
    const struct report *r = p->r;
    double in = 0, raw = 0, part = 0, seconds = 0;
    size_t n = 0;

    for (size_t i = 0; i < r->nsites; i++) {
        const struct report_site *s = &r->site[i];

        if (kind != REPORT_KINDS && s->kind != kind)
            continue;
        n++;
        in = add(in, s->j.bytes_in);
        raw = add(raw, s->j.bytes_raw);
        part = add(part, s->j.bytes_part);
        seconds += s->j.seconds;
    }
    page_row(p);
    page_cell(p, name);
    page_count(p, (int64_t)n);
    page_seconds(p, seconds);
    page_bytes(p, in);
    page_bytes(p, raw);
    page_bytes(p, part);
    page_row_end(p);
}

static void bytes(struct page *p)
{
    static const char *const head[] = {
        "<site", "sites", "solving", "inputs into the reducer", "solutions", "as kept on disk"};
    int known = 0;

    for (size_t i = 0; i < p->r->nsites; i++)
        known = known || p->r->site[i].j.bytes_in >= 0;
    fputs("<h3>Bytes moved</h3>\n", p->f);
    page_table(p, NULL, head, 6);
    for (size_t k = 0; k < p->r->nkinds; k++)
        bytes_row(p, p->r->kind[k], k);
    bytes_row(p, "all", REPORT_KINDS);
    page_table_end(p, NULL);
    if (!known)
        page_note(
            p, "missing",
            "Bytes of inputs are not in this journal: ptq-solve of this version hands them on.");
}

int section_costs(struct page *p)
{
    int rc = 0;

    page_head(p, "Time and bytes");
    fputs("<div class=\"charts\">\n", p->f);
    if (p->r->nsites)
        rc = seconds_chart(p);
    if (p->r->run)
        stages(p);
    else
        fputs("</div>\n", p->f);
    if (!p->r->run)
        page_note(p, "missing",
                  "Time and memory of the stages are not known: there is no run.json. ptq run "
                  "writes it when a run ends; stages "
                  "that were started by hand do not.");
    if (p->r->nsites)
        bytes(p);
    return rc;
}
