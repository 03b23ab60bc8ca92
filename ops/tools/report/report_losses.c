/* SPDX-License-Identifier: Apache-2.0 */
/* report_losses - sections on how well sites were solved: losses over the blocks, contests
 * between solvers, what needed more damping. */
#include "sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "../../../common/base/plural.h"
#include "plot.h"

#define SOLVERS 16

/* Was anything solved here? Not where every linear stays at full precision. */
static int is_solved(const struct report_site *s)
{
    return !s->kept || s->kept < s->j.nlinears;
}

static struct plot chart(const char *title, const char *y_label, int log_y)
{
    return (struct plot){.title = title,
                         .x_label = "block",
                         .y_label = y_label,
                         .log_y = log_y,
                         .whole_x = 1,
                         .floor_y = NAN,
                         .line_y = NAN};
}

static double loss_of(const struct report_site *s)
{
    return s->j.loss;
}

static double rel_of(const struct report_site *s)
{
    return s->j.rel_loss;
}

static double asym_of(const struct report_site *s)
{
    return s->asym_loss;
}

/* One line for each kind of site. Nothing when no site has the number. */
static int kinds_chart(struct page *p, const struct plot *plot,
                       double (*of)(const struct report_site *s))
{
    const struct report *r = p->r;
    struct page_lines l;
    size_t known = 0;

    if (lines_init(&l, r->nkinds, r->nsites, p->e))
        return -1;
    for (size_t k = 0; k < r->nkinds; k++)
        lines_get(&l, r->kind[k], !strchr(r->kind[k], '*'), 1);
    for (size_t i = 0; i < r->nsites; i++) {
        lines_add(&l, &l.s[r->site[i].kind], (double)r->site[i].j.block, of(&r->site[i]), 0);
        known += isfinite(of(&r->site[i])) != 0;
    }
    if (known)
        plot_lines(p->f, plot, l.s, l.n);
    lines_release(&l);
    return 0;
}

int section_losses(struct page *p)
{
    const struct plot rel = chart("Relative loss", "share of the output's energy", 1),
                      loss = chart("Loss", "tr((W−Q) H (W−Q)′)", 1),
                      asym = chart("Asymmetric loss", "against the full-precision model", 1);
    size_t exact = 0, below = 0, kept = 0;
    int rc;

    page_head(p, "Loss of each site");
    page_note(p, "",
              "What quantization changed in the outputs of the linears that share one input, on "
              "the calibration rows: "
              "tr((W−Q) H (W−Q)′) with H the weighted mean of x x′, summed over the linears of the "
              "site. Relative: divided by tr(W H W′), "
              "so that sites can be compared. Lower is better.");
    fputs("<div class=\"charts\">\n", p->f);
    rc = kinds_chart(p, &rel, rel_of) || kinds_chart(p, &loss, loss_of) ||
                 kinds_chart(p, &asym, asym_of)
             ? -1
             : 0;
    fputs("</div>\n", p->f);
    for (size_t i = 0; i < p->r->nsites; i++) {
        const struct report_site *s = &p->r->site[i];

        exact += s->j.loss <= 0;
        below += s->asym_loss <= 0;
        kept += !is_solved(s);
    }
    if (kept)
        page_note(p, "", "Left at full precision, and not in the charts: %zu of %zu sites.", kept,
                  p->r->nsites);
    if (exact)
        page_note(p, "",
                  "%zu site%s no loss at all and %s not in the charts, which are logarithmic.",
                  exact, plural_word(exact, " has", "s have"), plural_word(exact, "is", "are"));
    if (below)
        page_note(p, "",
                  "%zu asymmetric loss%s 0 or below and not in the chart, which is "
                  "logarithmic: this loss leaves out a constant of each site.",
                  below, plural_word(below, " is", "es are"));
    return rc;
}

/* What contenders were compared by. */
static double score(const struct report_site *s, const struct journal_contender *c)
{
    if (s->j.judged_on && strcmp(s->j.judged_on, "hold") == 0)
        return c->hold_loss;
    return s->j.criterion && strcmp(s->j.criterion, "asym") == 0 ? c->asym_loss : c->loss;
}

/* One chart a kind of site, one line a contender, rings around those that won. */
static int contest_chart(struct page *p, size_t kind, const char *label)
{
    const struct report *r = p->r;
    struct plot plot = chart(r->kind[kind], label, 1);
    struct page_lines l;

    if (lines_init(&l, SOLVERS, r->nsites, p->e))
        return -1;
    for (size_t i = 0; i < r->nsites; i++)
        for (size_t k = 0; k < r->site[i].j.ncontenders && r->site[i].kind == kind; k++) {
            const struct report_site *s = &r->site[i];
            struct plot_series *line = lines_get(&l, s->j.contender[k].solver, 1, 1);

            if (line)
                lines_add(&l, line, (double)s->j.block, score(s, &s->j.contender[k]),
                          strcmp(s->j.solver, s->j.contender[k].solver) == 0);
        }
    if (l.n)
        plot_lines(p->f, &plot, l.s, l.n);
    lines_release(&l);
    return 0;
}

/* Colour by solver where a run had several without a contest. */
static int solvers_chart(struct page *p, size_t kind)
{
    const struct report *r = p->r;
    struct plot plot = chart(r->kind[kind], "relative loss", 1);
    struct page_lines l;

    if (lines_init(&l, SOLVERS, r->nsites, p->e))
        return -1;
    for (size_t i = 0; i < r->nsites; i++)
        if (is_solved(&r->site[i]))
            lines_get(&l, r->site[i].j.solver, 0, 1);
    for (size_t i = 0; i < r->nsites; i++) {
        const struct report_site *s = &r->site[i];
        struct plot_series *line =
            s->kind == kind && is_solved(s) ? lines_get(&l, s->j.solver, 0, 1) : NULL;

        if (line)
            lines_add(&l, line, (double)s->j.block, s->j.rel_loss, 0);
    }
    plot_lines(p->f, &plot, l.s, l.n);
    lines_release(&l);
    return 0;
}

/* By how much a contender lost at a site, as a share of the winner's plain loss: asymmetric
 * losses leave out a constant, so that only their differences mean something. NAN: it did not
 * take part. */
static double behind(const struct report_site *s, const char *solver)
{
    double mine = NAN, best = NAN, scale = NAN;

    for (size_t k = 0; k < s->j.ncontenders; k++) {
        const struct journal_contender *c = &s->j.contender[k];

        if (strcmp(c->solver, solver) == 0)
            mine = score(s, c);
        if (strcmp(c->solver, s->j.solver) == 0) {
            best = score(s, c);
            scale = c->loss;
        }
    }
    return scale > 0 ? (mine - best) / scale : NAN;
}

static void wins_row(struct page *p, const char *solver)
{
    double sum = 0, most = 0;
    size_t won = 0, count = 0;

    for (size_t i = 0; i < p->r->nsites; i++) {
        const struct report_site *s = &p->r->site[i];
        double b = behind(s, solver);

        won += s->j.ncontenders && strcmp(s->j.solver, solver) == 0;
        if (!isfinite(b))
            continue;
        sum += b;
        most = b > most ? b : most;
        count++;
    }
    page_row(p);
    page_cell(p, solver);
    page_count(p, (int64_t)won);
    page_percent(p, count ? sum / (double)count : NAN);
    page_percent(p, count ? most : NAN);
    page_row_end(p);
}

static void wins_table(struct page *p)
{
    static const char *const head[] = {"<solver", "sites won", "behind the winner, mean", "most"};
    const struct report *r = p->r;
    const char *name[SOLVERS];
    size_t n = 0;

    for (size_t i = 0; i < r->nsites; i++)
        for (size_t k = 0; k < r->site[i].j.ncontenders; k++) {
            size_t at = 0;

            while (at < n && strcmp(name[at], r->site[i].j.contender[k].solver) != 0)
                at++;
            if (at == n && n < SOLVERS)
                name[n++] = r->site[i].j.contender[k].solver;
        }
    page_table(p, NULL, head, 4);
    for (size_t at = 0; at < n; at++)
        wins_row(p, name[at]);
    page_table_end(p, NULL);
    page_note(p, "", "Behind: its loss less the winner's, as a share of the winner's plain loss.");
}

static void contest_table(struct page *p)
{
    static const char *const head[] = {"block",           "<site",         "<contender", "loss",
                                       "asymmetric loss", "held-out loss", "<"};
    const char *fold = "Every contender at every site";

    page_table(p, fold, head, 7);
    for (size_t i = 0; i < p->r->nsites; i++)
        for (size_t k = 0; k < p->r->site[i].j.ncontenders; k++) {
            const struct report_site *s = &p->r->site[i];
            const struct journal_contender *c = &s->j.contender[k];

            page_row(p);
            page_site(p, s);
            page_cell(p, c->solver);
            page_number(p, c->loss, 4);
            page_number(p, c->asym_loss, 4);
            page_number(p, c->hold_loss, 4);
            page_cell(p, strcmp(c->solver, s->j.solver) == 0 ? "won" : "");
            page_row_end(p);
        }
    page_table_end(p, fold);
}

static int contest_section(struct page *p, const struct report_site *s)
{
    int hold = s->j.judged_on && strcmp(s->j.judged_on, "hold") == 0,
        asym = s->j.criterion && strcmp(s->j.criterion, "asym") == 0;
    int rc = 0;

    page_head(p, "Contest of solvers");
    page_note(p, "",
              "Each site was solved by every contender, and the one with the smallest %sloss on %s "
              "was kept (ring). Sites come one after "
              "another: each contender starts from what the winners before it left.",
              asym ? "asymmetric " : "", hold ? "held-out chunks" : "the calibration rows");
    wins_table(p);
    fputs("<div class=\"charts\">\n", p->f);
    for (size_t k = 0; k < p->r->nkinds && rc == 0; k++)
        rc = contest_chart(p, k, hold ? "held-out loss" : asym ? "asymmetric loss" : "loss");
    fputs("</div>\n", p->f);
    contest_table(p);
    return rc;
}

int section_contest(struct page *p)
{
    const struct report *r = p->r;
    const char *first = NULL;
    int several = 0, rc = 0;

    for (size_t i = 0; i < r->nsites; i++) {
        if (r->site[i].j.ncontenders)
            return contest_section(p, &r->site[i]);
        if (!is_solved(&r->site[i]))
            continue;
        first = first ? first : r->site[i].j.solver;
        several = several || strcmp(r->site[i].j.solver, first) != 0;
    }
    if (!several)
        return 0;
    page_head(p, "Loss by solver");
    page_note(p, "", "Which solver each site had: relative losses, as above.");
    fputs("<div class=\"charts\">\n", p->f);
    for (size_t k = 0; k < r->nkinds && rc == 0; k++)
        rc = solvers_chart(p, k);
    fputs("</div>\n", p->f);
    return rc;
}

static void trouble_text(const struct report_site *s, char *out, size_t n)
{
    size_t at = 0;

    *out = '\0';
    if (s->j.fallback)
        at += (size_t)snprintf(out + at, n - at, "fell back to %.40s; ", s->j.fallback);
    if (s->j.attempts > 1)
        at += (size_t)snprintf(out + at, n - at, "%lld attempts at damping; ",
                               (long long)s->j.attempts);
    if (s->j.dead > 0)
        at += (size_t)snprintf(out + at, n - at, "%lld input%s always 0; ", (long long)s->j.dead,
                               plural_s((uint64_t)s->j.dead));
    if (s->j.coverage < 2)
        at += (size_t)snprintf(out + at, n - at, "fewer than 2 tokens per input; ");
    if (at >= 2)
        out[at - 2] = '\0';
}

int section_trouble(struct page *p)
{
    static const char *const head[] = {
        "block",        "<site",       "<what",         "damping",
        "attempts",     "dead inputs", "raised scales", "tokens per input",
        "relative loss"};
    const struct report *r = p->r;
    size_t listed = 0;
    char text[200];

    page_head(p, "Damping, fallbacks, coverage");
    for (size_t i = 0; i < r->nsites; i++) {
        const struct report_site *s = &r->site[i];

        trouble_text(s, text, sizeof text);
        if (!*text)
            continue;
        if (!listed++)
            page_table(p, NULL, head, sizeof head / sizeof *head);
        page_row(p);
        page_site(p, s);
        page_cell(p, text);
        page_number(p, s->j.damp, 3);
        page_count(p, s->j.attempts);
        page_count(p, s->j.dead);
        page_count(p, s->j.raised);
        page_number(p, s->j.coverage, 3);
        page_number(p, s->j.rel_loss, 4);
        page_row_end(p);
    }
    if (listed)
        page_table_end(p, NULL);
    number_text(r->site[0].j.damp, 3, text);
    if (listed)
        page_note(p, "",
                  "%zu of %zu sites %s listed: those that needed more than the first damping, a "
                  "fallback, that have inputs which are "
                  "always 0, or fewer than 2 calibration tokens per input.",
                  listed, r->nsites, plural_word(listed, "is", "are"));
    else
        page_note(p, "",
                  "Nothing to tell: every site was solved with the first damping (%s of the mean "
                  "diagonal), no input is always 0%s.",
                  text,
                  isfinite(r->site[0].j.coverage)
                      ? ", and each site has at least 2 tokens per input"
                      : "");
    if (!isfinite(r->site[0].j.coverage))
        page_note(p, "missing",
                  "Tokens per input are not in this journal; ptq-write notes them since it keeps "
                  "inputs and coverage.");
    return 0;
}
