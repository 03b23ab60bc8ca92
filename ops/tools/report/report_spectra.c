/* SPDX-License-Identifier: Apache-2.0 */
/* report_spectra - sections on the calibration data: effective sample size, lengths, and the
 * Hessian's diagonal by length. */
#include "sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "../../../common/base/plural.h"
#include "plot.h"

#define BINS 12
#define CURVES 6
#define POINTS 120

static int samples_chart(struct page *p, int per_input)
{
    const struct report *r = p->r;
    struct plot plot = {.title = per_input ? "Effective tokens per input" : "Effective sample size",
                        .x_label = "block",
                        .whole_x = 1,
                        .y_label = per_input ? "effective tokens / inputs" : "tokens",
                        .log_y = per_input,
                        .floor_y = per_input ? 1 : 0,
                        .line_y = per_input ? 2 : NAN,
                        .line_name = "2 per input"};
    struct page_lines l;

    if (lines_init(&l, r->nkinds, r->nsites, p->e))
        return -1;
    for (size_t k = 0; k < r->nkinds; k++)
        lines_get(&l, r->kind[k], !strchr(r->kind[k], '*'), 1);
    for (size_t i = 0; i < r->nsites; i++) {
        const struct report_site *s = &r->site[i];

        lines_add(&l, &l.s[s->kind], (double)s->j.block,
                  per_input ? s->j.ess / (s->j.inputs > 0 ? (double)s->j.inputs : NAN) : s->j.ess,
                  0);
    }
    plot_lines(p->f, &plot, l.s, l.n);
    lines_release(&l);
    return 0;
}

int section_samples(struct page *p)
{
    const struct report *r = p->r;
    int inputs = 0, same = 1, rc = 0;
    char text[2][SCALE_TEXT];

    page_head(p, "Effective sample size");
    page_note(p, "",
              "(Σw)² / Σw² over the weights w of the calibration tokens: as many tokens of equal "
              "weight would say as much. "
              "It is the number of tokens when all weights are equal.");
    for (size_t i = 0; i < r->nsites; i++)
        inputs = inputs || r->site[i].j.inputs > 0;
    for (size_t i = 1; i < r->nsites; i++)
        same = same && fabs(r->site[i].j.ess - r->site[0].j.ess) <= 1e-9 * r->site[0].j.ess;
    number_text(floor(r->site[0].j.ess + 0.5), 16, text[0]);
    percent_text(r->site[0].j.ess / (double)r->site[0].j.tokens, text[1]);
    if (same && r->site[0].j.tokens > 0)
        page_note(p, "", "The same at every site: %s, which is %s of the tokens.", text[0],
                  text[1]);
    fputs("<div class=\"charts\">\n", p->f);
    if (!same || !inputs)
        rc = samples_chart(p, 0);
    if (inputs && rc == 0)
        rc = samples_chart(p, 1);
    fputs("</div>\n", p->f);
    if (!inputs)
        page_note(
            p, "missing",
            "Inputs of the sites are not in this journal, so tokens per input cannot be drawn.");
    return rc;
}

struct bin {
    double from, to, sequences, tokens, weight;
    char name[SCALE_TEXT];
};

/* One bin a length, or powers of two when there are more than BINS lengths. */
static size_t bins_fill(const struct json *list, struct bin *bins)
{
    int fine = json_count(list) <= BINS;
    size_t n = 0;

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *row = json_at(list, i);
        double length = 0, sequences = 0, weight = 0, from;
        size_t k = 0;

        json_as_real(json_at(row, 0), &length);
        json_as_real(json_at(row, 1), &sequences);
        json_as_real(json_at(row, 2), &weight);
        from = fine || length < 1 ? length : pow(2, floor(log2(length) + 1e-12));
        while (k < n && bins[k].from != from)
            k++;
        if (k == n && n == 64)
            k--;
        else if (k == n)
            bins[n++] = (struct bin){.from = from, .to = from};
        bins[k].to = length > bins[k].to ? length : bins[k].to;
        bins[k].sequences += sequences;
        bins[k].tokens += sequences * length;
        bins[k].weight += weight;
    }
    for (size_t k = 0; k < n; k++)
        if (bins[k].to > bins[k].from)
            snprintf(bins[k].name, sizeof bins[k].name, "%.0f–%.0f", bins[k].from, bins[k].to);
        else
            number_text(bins[k].from, 16, bins[k].name);
    return n;
}

static void lengths_table(struct page *p, const struct bin *bins, size_t n, const struct bin *all)
{
    static const char *const head[] = {"length", "sequences", "share", "tokens",
                                       "share",  "weight",    "share", "weight of a token"};

    page_table(p, NULL, head, 8);
    for (size_t i = 0; i < n; i++) {
        fprintf(p->f, "<tr><td>%s</td>", bins[i].name);
        page_number(p, bins[i].sequences, 16);
        page_percent(p, bins[i].sequences / all->sequences);
        page_number(p, bins[i].tokens, 16);
        page_percent(p, bins[i].tokens / all->tokens);
        page_number(p, bins[i].weight, 4);
        page_percent(p, bins[i].weight / all->weight);
        page_number(p, bins[i].weight / bins[i].tokens, 4);
        page_row_end(p);
    }
    page_table_end(p, NULL);
}

int section_lengths(struct page *p)
{
    static const char *const series[] = {"sequences", "tokens", "weight"};
    const struct plot plot = {.title = "Share of each length",
                              .x_label = "sequence length, tokens",
                              .y_label = "%",
                              .floor_y = 0,
                              .line_y = NAN};
    const struct json *list = NULL;
    struct bin bins[64], all = {0};
    const char *names[64];
    double value[64 * 3];
    size_t n;

    page_head(p, "Sequence lengths");
    for (size_t i = 0; i < p->r->nsites && !list; i++)
        list = p->r->site[i].j.lengths;
    if (!list) {
        page_note(p, "missing",
                  "The lengths of the sequences are not in this journal: ptq-solve hands them on, "
                  "and ptq-write notes them, since they "
                  "are in this report.");
        return 0;
    }
    n = bins_fill(list, bins);
    for (size_t i = 0; i < n; i++) {
        all.sequences += bins[i].sequences;
        all.tokens += bins[i].tokens;
        all.weight += bins[i].weight;
    }
    for (size_t i = 0; i < n; i++) {
        names[i] = bins[i].name;
        value[3 * i] = 100 * bins[i].sequences / all.sequences;
        value[3 * i + 1] = 100 * bins[i].tokens / all.tokens;
        value[3 * i + 2] = 100 * bins[i].weight / all.weight;
    }
    fputs("<div class=\"charts\">\n", p->f);
    plot_bars(p->f, &plot, series, 3, names, n, value, "%");
    fputs("</div>\n", p->f);
    lengths_table(p, bins, n, &all);
    return 0;
}

/* The classes that are drawn: all, or the CURVES that have most tokens. */
static size_t classes_pick(const struct report_spectrum *s, size_t *pick)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++) {
        size_t more = 0;

        for (size_t k = 0; k < s->count; k++)
            more += s->class[k].tokens > s->class[i].tokens ||
                    (s->class[k].tokens == s->class[i].tokens && k < i);
        if (more < CURVES && s->class[i].sorted)
            pick[n++] = i;
    }
    return n;
}

static int spectrum_chart(struct page *p, const struct report_spectrum *s)
{
    struct plot plot = {.x_label = "rank of the channel",
                        .y_label = "mean x²",
                        .log_x = 1,
                        .log_y = 1,
                        .ordered = 1,
                        .floor_y = NAN,
                        .line_y = NAN};
    size_t pick[CURVES], index[POINTS], points, n = classes_pick(s, pick);
    char title[96], name[CURVES][SCALE_TEXT + 8];
    struct page_lines l;

    if (lines_init(&l, CURVES, POINTS, p->e))
        return -1;
    rank_thin(s->K, POINTS, index, &points);
    for (size_t i = 0; i < n; i++) {
        const struct report_class *c = &s->class[pick[i]];
        struct plot_series *line;

        snprintf(name[i], sizeof name[i], "%llu", (unsigned long long)c->length);
        line = lines_get(&l, name[i], 1, 0);
        for (size_t k = 0; k < points; k++)
            lines_add(&l, line, (double)index[k] + 1, c->sorted[index[k]], 0);
    }
    snprintf(title, sizeof title, "Block %llu, %.40s: %zu channels", (unsigned long long)s->block,
             p->r->kind[s->kind], s->K);
    plot.title = title;
    plot_lines(p->f, &plot, l.s, l.n);
    lines_release(&l);
    return 0;
}

/* Share of the largest 1 % of the channels, over the blocks, one line a length. */
static int top_chart(struct page *p, size_t kind)
{
    const struct report *r = p->r;
    struct plot plot = {.title = r->kind[kind],
                        .x_label = "block",
                        .whole_x = 1,
                        .y_label = "% of the trace",
                        .ordered = 1,
                        .floor_y = 0,
                        .line_y = NAN};
    struct page_lines l;
    char name[CURVES][SCALE_TEXT];
    size_t names = 0;

    if (lines_init(&l, CURVES, r->nspectra, p->e))
        return -1;
    for (size_t i = 0; i < r->nspectra; i++) {
        const struct report_spectrum *s = &r->spectrum[i];

        for (size_t k = 0; k < s->count && s->kind == kind; k++) {
            char text[SCALE_TEXT];
            struct plot_series *line;
            size_t at = 0;

            snprintf(text, sizeof text, "%llu", (unsigned long long)s->class[k].length);
            while (at < names && strcmp(name[at], text) != 0)
                at++;
            if (at == CURVES)
                continue;
            if (at == names)
                memcpy(name[names++], text, sizeof text);
            line = lines_get(&l, name[at], 1, 1);
            lines_add(&l, line, (double)s->block, 100 * s->class[k].top, 0);
        }
    }
    if (l.n)
        plot_lines(p->f, &plot, l.s, l.n);
    lines_release(&l);
    return 0;
}

static void spectra_table(struct page *p)
{
    static const char *const head[] = {"block",
                                       "<site",
                                       "length",
                                       "tokens",
                                       "mean x²",
                                       "median",
                                       "largest",
                                       "largest / median",
                                       "channels > 10 × median",
                                       "largest 1 % hold",
                                       "shared with all lengths"};
    const char *fold = "The diagonals in numbers, every site and length";

    page_table(p, fold, head, sizeof head / sizeof *head);
    for (size_t i = 0; i < p->r->nspectra; i++)
        for (size_t k = 0; k < p->r->spectrum[i].count; k++) {
            const struct report_spectrum *s = &p->r->spectrum[i];
            const struct report_class *c = &s->class[k];

            page_row(p);
            page_count(p, (int64_t)s->block);
            page_cell(p, p->r->kind[s->kind]);
            page_count(p, (int64_t)c->length);
            page_number(p, c->tokens, 16);
            page_number(p, c->mean, 4);
            page_number(p, c->median, 4);
            page_number(p, c->largest, 4);
            page_number(p, c->median > 0 ? c->largest / c->median : NAN, 3);
            page_percent(p, c->above);
            page_percent(p, c->top);
            page_percent(p, c->overlap);
            page_row_end(p);
        }
    page_table_end(p, fold);
}

static int spectra_missing(struct page *p)
{
    const struct report *r = p->r;

    if (!r->problems)
        page_note(p, "missing",
                  "Not drawn: the diagonals are in the stream of problems, which a run keeps when "
                  "asked. Run the pipeline with "
                  "--record FILE (or ptq-reduce --length-diagonals --record FILE), then: ptq "
                  "report %.900s --problems FILE",
                  r->path);
    else if (r->nproblems)
        page_note(p, "missing",
                  "Not drawn: the %zu problem%s of '%.900s' %s no diagonals by length. ptq-reduce "
                  "--length-diagonals keeps them.",
                  r->nproblems, plural_s(r->nproblems), r->problems,
                  plural_word(r->nproblems, "has", "have"));
    else
        page_note(p, "missing", "Not drawn: '%.900s' has no problem in it yet.", r->problems);
    return 0;
}

int section_spectra(struct page *p)
{
    const struct report *r = p->r;
    int rc = 0;

    page_head(p, "Hessian diagonal by sequence length");
    if (r->problems_why)
        page_note(p, "alert", "'%.900s' was read as far as it goes: %.500s", r->problems,
                  r->problems_why);
    if (!r->nspectra)
        return spectra_missing(p);
    page_note(p, "",
              "The mean of x² of each input channel over the tokens of the sequences of one "
              "length, every token counting the same, largest channel "
              "first (figure 1 of MaCa, arXiv 2602.07465). Curves that lie on each other mean that "
              "length does not matter to this site.");
    fputs("<div class=\"charts\">\n", p->f);
    for (size_t i = 0; i < r->nspectra && rc == 0; i++)
        if (r->spectrum[i].count && r->spectrum[i].class[0].sorted)
            rc = spectrum_chart(p, &r->spectrum[i]);
    fputs("</div>\n<h3>Share of the diagonal that the largest 1 % of the channels hold</h3>\n<div "
          "class=\"charts\">\n",
          p->f);
    for (size_t k = 0; k < r->nkinds && rc == 0; k++)
        rc = top_chart(p, k);
    fputs("</div>\n", p->f);
    page_note(
        p, "",
        "“Shared with all lengths” in the table: how many of a length's largest 1 %% of the "
        "channels are also among the "
        "largest of all lengths together; below 100 %%, lengths light up different channels.");
    spectra_table(p);
    return rc;
}
