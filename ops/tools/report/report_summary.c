/* SPDX-License-Identifier: Apache-2.0 */
/* report_summary - what the reader must know first, the table of the run, and the numbers of
 * everything at the end. */
#include "sections.h"
#include "../../../common/base/bytes.h"
#include "../../../common/base/plural.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "plot.h"

static void fact(struct page *p, const char *name, const char *fmt, ...) ERR_PRINTF(3, 4);
static void fact(struct page *p, const char *name, const char *fmt, ...)
{
    char text[2048];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(p->f, "<tr><th>%s</th>", name);
    page_cell(p, text);
    page_row_end(p);
}

/* Values of a text over all linears, with how many have each: "gptq: 20 of 24; gptaq: 4 of 24". */
static void tally(const struct report *r,
                  void (*of)(const struct report_site *s, const struct journal_linear *l, char *out,
                             size_t n),
                  char *out, size_t size)
{
    char seen[12][96], one[96];
    size_t count[12] = {0}, n = 0, at = 0, all = 0;

    for (size_t i = 0; i < r->nsites; i++)
        for (size_t l = 0; l < r->site[i].j.nlinears; l++, all++) {
            size_t k = 0;

            of(&r->site[i], &r->site[i].j.linear[l], one, sizeof one);
            while (k < n && strcmp(seen[k], one) != 0)
                k++;
            if (k == n && n < 12)
                memcpy(seen[n++], one, sizeof one);
            if (k < n)
                count[k]++;
        }
    snprintf(out, size, "not known");
    for (size_t k = 0; k < n && at < size; k++)
        at += (size_t)(n == 1 ? snprintf(out + at, size - at, "%.95s", seen[k])
                              : snprintf(out + at, size - at, "%s%.95s: %zu of %zu linears",
                                         k ? "; " : "", seen[k], count[k], all));
}

static void solver_of(const struct report_site *s, const struct journal_linear *l, char *out,
                      size_t n)
{
    snprintf(out, n, "%s", l->kept ? "none" : l->solver ? l->solver : s->j.solver);
}

static void grid_of(const struct report_site *s, const struct journal_linear *l, char *out,
                    size_t n)
{
    char scales[48] = "one scale a row";

    (void)s;
    if (l->kept) {
        snprintf(out, n, "left at full precision");
        return;
    }
    if (l->bits < 0 || !l->group) {
        snprintf(out, n, "not known");
        return;
    }
    if (l->group > 0)
        snprintf(scales, sizeof scales, "groups of %lld", (long long)l->group);
    snprintf(out, n, "%lld bits, %s, %.20s", (long long)l->bits, scales, l->grid ? l->grid : "?");
}

static void summary_size(struct page *p)
{
    const struct report *r = p->r;
    const struct json *after = json_get(r->done, "bytes_after");
    double before = json_real_or(r->done, "bytes_before", NAN), weights = 0, stored = 0;
    char a[SCALE_TEXT], b[SCALE_TEXT], c[SCALE_TEXT];

    for (size_t i = 0; i < json_count(after); i++) {
        const char *name = "";
        double bytes;

        if (json_as_real(json_member(after, i, &name), &bytes))
            continue;
        bytes_text(before, a);
        bytes_text(bytes, b);
        percent_text(bytes / before, c);
        fact(p, "Size of the weights", "%s, before %s: %s (%s)", b, a, c, name);
    }
    if (!json_count(after))
        fact(p, "Size of the weights", "not known before the run is done");
    for (size_t i = 0; i < r->nsites; i++) {
        weights += r->site[i].weights;
        stored += r->site[i].stored_bits;
    }
    number_text(stored / weights, 4, a);
    number_text(weights, 16, b);
    if (isfinite(stored / weights))
        fact(p, "Bits per weight", "%s with scales and zero points, over %s quantized weights", a,
             b);
    else
        fact(p, "Bits per weight",
             "not in the journal: ptq-write notes the rows and inputs it needs since this report "
             "exists");
}

static void summary_data(struct page *p)
{
    const struct report_site *s = p->r->site;
    char a[SCALE_TEXT], b[SCALE_TEXT], c[SCALE_TEXT], d[SCALE_TEXT];
    double least, most;

    if (!p->r->nsites)
        return;
    least = most = s->j.ess;
    for (size_t i = 1; i < p->r->nsites; i++) {
        least = p->r->site[i].j.ess < least ? p->r->site[i].j.ess : least;
        most = p->r->site[i].j.ess > most ? p->r->site[i].j.ess : most;
    }
    number_text(s->j.tokens < 0 ? NAN : (double)s->j.tokens, 16, a);
    number_text(s->j.sequences < 0 ? NAN : (double)s->j.sequences, 16, b);
    number_text(floor(least + 0.5), 16, c);
    number_text(floor(most + 0.5), 16, d);
    fact(p, "Calibration", "%s tokens in %s sequences; effective sample size %s%s%s%s", a, b, c,
         strcmp(c, d) ? " to " : "", strcmp(c, d) ? d : "",
         s->j.judged_on && strcmp(s->j.judged_on, "hold") == 0 ? " (held-out chunks not counted)"
                                                               : "");
}

static void summary_cost(struct page *p)
{
    const struct json *run = p->r->run;
    double wall = json_real_or(run, "wall_s", NAN), cpu = json_real_or(run, "cpu_s", NAN),
           done = json_real_or(p->r->done, "wall", NAN);
    char a[SCALE_TEXT], b[SCALE_TEXT];

    if (!run) {
        seconds_text(isfinite(done) ? done
                     : p->r->nsites ? p->r->site[p->r->nsites - 1].j.wall
                                    : NAN,
                     a);
        fact(p, "Time",
             "%s by the writer's clock; CPU time and memory: no run.json, which ptq run writes at "
             "the end of a run",
             a);
        return;
    }
    seconds_text(wall, a);
    seconds_text(cpu, b);
    fact(p, "Time", "%s; CPU time %s (%.1f cores busy)", a, b, wall > 0 ? cpu / wall : 0);
    bytes_text(json_real_or(run, "peak_rss_sum_mib", NAN) * 1024 * 1024, a);
    bytes_text(json_real_or(run, "peak_rss_mib", NAN) * 1024 * 1024, b);
    fact(p, "Peak memory", "%s over all processes, %s in the largest", a, b);
}

void section_summary(struct page *p)
{
    const struct report *r = p->r;
    char text[1024];

    fputs("<div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><tbody>\n", p->f);
    fact(p, "Model", "%s", json_text_or(r->start, "model", "not known"));
    fact(p, "Sites", "%zu of %llu: %llu block%s of %zu", r->nsites,
         (unsigned long long)r->sites_all, (unsigned long long)report_blocks(r),
         plural_s(report_blocks(r)), report_block_sites(r));
    tally(r, grid_of, text, sizeof text);
    fact(p, "Grid", "%s", text);
    tally(r, solver_of, text, sizeof text);
    fact(p, "Solver", "%s", text);
    summary_size(p);
    summary_data(p);
    summary_cost(p);
    fact(p, "Written", "%s, ptqflow %s; started %s", json_text_or(r->start, "formats", "?"),
         json_text_or(r->start, "version", "?"), json_text_or(r->start, "time", "?"));
    fputs("</tbody></table></div>\n", p->f);
}

/* "12.3 ± 0.4"; a dash where it is not known */
static void estimate_cell(struct page *p, const struct json *j, const char *name, const char *se)
{
    char value[SCALE_TEXT], error[SCALE_TEXT], text[2 * SCALE_TEXT + 8];
    const double v = json_real_or(j, name, NAN), s = json_real_or(j, se, NAN);

    if (!isfinite(s)) {
        page_number(p, v, 5);
        return;
    }
    number_text(v, 5, value);
    number_text(s, 2, error);
    snprintf(text, sizeof text, "%s ± %s", value, error);
    page_cell(p, text);
}

/* As it was given to ptq-write: Markdown, which people can read. */
void section_note(struct page *p)
{
    if (!p->r->note)
        return;
    page_head(p, "Why so");
    fputs("<pre>", p->f);
    html_text(p->f, p->r->note);
    fputs("</pre>\n", p->f);
}

/* What ptq-eval --keep-figures noted. */
void section_evals(struct page *p)
{
    static const char *const head[] = {"<data",       "<reference",        "<windows",
                                       "<perplexity", "<of the reference", "<KL divergence",
                                       "<KL, 99%",    "<same top token"};
    const struct json *list = p->r->evals;

    if (!json_count(list))
        return;
    page_head(p, "Evaluation");
    page_table(p, NULL, head, sizeof head / sizeof *head);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *j = json_at(list, i);
        char windows[64];

        snprintf(windows, sizeof windows, "%.0f × %.0f tokens", json_real_or(j, "windows", 0),
                 json_real_or(j, "window", 0));
        page_row(p);
        page_cell(p, json_text_or(j, "data", "?"));
        page_cell(p, json_text_or(j, "ref", "–"));
        page_cell(p, windows);
        estimate_cell(p, j, "perplexity", "perplexity_se");
        estimate_cell(p, j, "ref_perplexity", "ref_perplexity_se");
        estimate_cell(p, j, "kld_mean", "kld_mean_se");
        estimate_cell(p, j, "kld_p99", "kld_p99_se");
        estimate_cell(p, j, "top1_agree", "top1_agree_se");
        page_row_end(p);
    }
    page_table_end(p, NULL);
    page_note(p, "", "By ptq eval --keep-figures. ± is the standard error over windows.");
}

/* What the reader must know before anything else: the run is not done, or this is not all of it. */
void section_state(struct page *p)
{
    const struct report *r = p->r;

    if (r->failed)
        page_note(p, "alert", "The run failed: %.1500s", r->failed);
    else if (!r->done)
        page_note(p, "alert",
                  "The run is not done: it is still going, or it was stopped. %zu of %llu sites "
                  "%s there.",
                  r->nsites, (unsigned long long)r->sites_all, plural_word(r->nsites, "is", "are"));
    if (r->cut)
        page_note(p, "alert",
                  "The journal's last line is not whole and was left out: the run was writing it, "
                  "or was cut off.");
    if (r->other)
        page_note(
            p, "alert",
            "%zu record%s of kinds that this version does not know %s left out of the journal.",
            r->other, plural_s(r->other), plural_word(r->other, "was", "were"));
}

void section_sites(struct page *p)
{
    static const char *const head[] = {"block",     "<site",         "<solver",          "inputs",
                                       "loss",      "relative loss", "asymmetric loss",  "damping",
                                       "tokens",    "effective",     "tokens per input", "dead",
                                       "solve time"};
    const char *fold = "Every site: the numbers of the charts above";

    page_head(p, "All numbers");
    page_table(p, fold, head, sizeof head / sizeof *head);
    for (size_t i = 0; i < p->r->nsites; i++) {
        const struct report_site *s = &p->r->site[i];

        page_row(p);
        page_site(p, s);
        page_cell(p, s->j.solver);
        page_count(p, s->j.inputs);
        page_number(p, s->j.loss, 4);
        page_number(p, s->j.rel_loss, 4);
        page_number(p, s->asym_loss, 4);
        page_number(p, s->j.damp, 3);
        page_count(p, s->j.tokens);
        page_number(p, floor(s->j.ess + 0.5), 16);
        page_number(p, s->j.coverage, 4);
        page_count(p, s->j.dead);
        page_seconds(p, s->j.seconds);
        page_row_end(p);
    }
    page_table_end(p, fold);
}

void section_variables(struct page *p)
{
    const struct json *all = json_get(p->r->run, "variables");
    static const char *const head[] = {"<variable", "<value"};
    const char *fold = "Variables of the recipe";

    if (!json_count(all))
        return;
    page_table(p, fold, head, 2);
    for (size_t i = 0; i < json_count(all); i++) {
        const char *name = "";
        const struct json *v = json_member(all, i, &name);

        for (size_t k = 0; k < (json_kind(v) == JSON_KIND_ARRAY ? json_count(v) : 1); k++) {
            const char *text = json_as_text(json_kind(v) == JSON_KIND_ARRAY ? json_at(v, k) : v);

            page_row(p);
            page_cell(p, name);
            page_cell(p, text ? text : "–");
            page_row_end(p);
        }
    }
    page_table_end(p, fold);
}
