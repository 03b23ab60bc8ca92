/* SPDX-License-Identifier: Apache-2.0 */
/* report_page - frame, style, summary and the tables of everything; see report_page.h. */
#include "report_page.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "../../../common/base/version.h"
#include "plot.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--bg:#fff;--fg:#1c2024;--dim:#5b646d;--rule:#d9dee3;--card:#f7f8fa;--warn:#8a4b00;--"
    "warnbg:#fff4e0;\n"
    "--c0:#0067b1;--c1:#c2410c;--c2:#00795a;--c3:#9b3d86;--c4:#7a6200;--c5:#4d55cc;--c6:#b3123f;--"
    "c7:#4a4f55;\n"
    "--q0:#31327f;--q1:#2f6fb0;--q2:#0f8a7e;--q3:#6f8500;--q4:#c77700;--q5:#b3261e}\n"
    "@media "
    "(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e9ec;--dim:#a0a9b2;--rule:#343b42;--"
    "card:#1b1f24;\n"
    "--warn:#ffcf8a;--warnbg:#3a2a10;\n"
    "--c0:#5cb3f5;--c1:#ff9a5c;--c2:#3fcf9f;--c3:#e58fd0;--c4:#e0c341;--c5:#a3a8ff;--c6:#ff7b98;--"
    "c7:#c0c6cc;\n"
    "--q0:#a9adff;--q1:#6bb6f2;--q2:#43d1c2;--q3:#bfd645;--q4:#ffb44d;--q5:#ff7d70}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 "
    "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:20px 16px 60px}\n"
    "h1{font-size:1.6rem;line-height:1.2;margin:.2em 0}h2{font-size:1.2rem;margin:2.2em 0 "
    ".4em;padding-top:.8em;border-top:1px solid var(--rule)}\n"
    "h3{font-size:1rem;margin:1.4em 0 .3em}p{margin:.5em "
    "0;max-width:78ch}.sub{color:var(--dim);overflow-wrap:anywhere}\n"
    ".missing,.alert{border-left:4px solid "
    "var(--warn);background:var(--warnbg);color:var(--fg);padding:.5em "
    ".8em;overflow-wrap:anywhere}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:"
    "14px;margin:.8em 0}\n"
    "figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:6px;\n"
    "padding:6px;max-width:560px}svg{display:block;width:100%;height:auto}\n"
    ".scroll{overflow-x:auto;margin:.6em "
    "0}table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.22em .7em;text-align:right;border-bottom:1px solid "
    "var(--rule);white-space:nowrap}th{text-align:right;color:var(--dim);font-weight:600}\n"
    "td.t,th.t{text-align:left}.plain td.t{white-space:normal;overflow-wrap:anywhere}.plain "
    "th{text-align:left;vertical-align:top}\n"
    "details{margin:.6em "
    "0}summary{cursor:pointer;color:var(--dim)}code{font-size:.92em;overflow-wrap:anywhere}\n"
    "text{fill:var(--fg);font-family:inherit;font-size:12px}.head{font-size:14px;font-weight:600}."
    "tick{fill:var(--dim);font-size:11.5px}\n"
    ".small{fill:var(--dim);font-size:10px}\n"
    ".label,.key{font-size:12px}.grid{stroke:var(--rule);fill:none}.axis{stroke:var(--dim);fill:"
    "none}\n"
    ".limit{stroke:var(--warn);stroke-dasharray:5 "
    "4;fill:none}.line{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round}\n"
    ".ring{fill:none;stroke:var(--fg);stroke-width:1.3}svg g{fill:currentColor}\n"
    ".c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var("
    "--c4)}\n"
    ".c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}\n"
    ".q0{color:var(--q0)}.q1{color:var(--q1)}.q2{color:var(--q2)}.q3{color:var(--q3)}.q4{color:var("
    "--q4)}.q5{color:var(--q5)}rect{fill:currentColor}\n"
    "@media "
    "(max-width:480px){.key,.label{font-size:14px}.tick{font-size:13.5px}.head{font-size:16px}."
    "plain th{padding-left:0}\n"
    "table{font-size:.76rem}th,td{padding:.22em "
    ".28em}th{white-space:normal;vertical-align:bottom}\n"
    ".scroll td:first-child,.scroll th:first-child{position:sticky;left:0;background:var(--bg)}}\n"
    "@media print{:root{color-scheme:light}figure{break-inside:avoid}}\n";

void page_head(struct page *p, const char *title)
{
    fputs("<h2>", p->f);
    html_text(p->f, title);
    fputs("</h2>\n", p->f);
}

void page_note(struct page *p, const char *class, const char *fmt, ...)
{
    char text[2048];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(p->f, *class ? "<p class=\"%s\">" : "<p>", class);
    html_text(p->f, text);
    fputs("</p>\n", p->f);
}

void page_table(struct page *p, const char *fold, const char *const *head, size_t n)
{
    if (fold) {
        fputs("<details><summary>", p->f);
        html_text(p->f, fold);
        fputs("</summary>\n", p->f);
    }
    fputs("<div class=\"scroll\"><table><thead><tr>", p->f);
    for (size_t i = 0; i < n; i++) {
        fprintf(p->f, *head[i] == '<' ? "<th class=\"t\">" : "<th>");
        html_text(p->f, *head[i] == '<' ? head[i] + 1 : head[i]);
        fputs("</th>", p->f);
    }
    fputs("</tr></thead><tbody>\n", p->f);
}

void page_table_end(struct page *p, const char *fold)
{
    fprintf(p->f, "</tbody></table></div>%s\n", fold ? "</details>" : "");
}

void page_row(struct page *p)
{
    fputs("<tr>", p->f);
}

void page_row_end(struct page *p)
{
    fputs("</tr>\n", p->f);
}

void page_cell(struct page *p, const char *text)
{
    fputs("<td class=\"t\">", p->f);
    html_text(p->f, text);
    fputs("</td>", p->f);
}

void page_number(struct page *p, double v, int digits)
{
    char text[SCALE_TEXT];

    number_text(v, digits, text);
    fprintf(p->f, "<td>%s</td>", text);
}

void page_count(struct page *p, int64_t v)
{
    page_number(p, v < 0 ? NAN : (double)v, 16);
}

void page_seconds(struct page *p, double v)
{
    char text[SCALE_TEXT];

    seconds_text(v, text);
    fprintf(p->f, "<td>%s</td>", text);
}

void page_bytes(struct page *p, double v)
{
    char text[SCALE_TEXT];

    if (v >= 0)
        bytes_text(v, text);
    else
        number_text(NAN, 3, text);
    fprintf(p->f, "<td>%s</td>", text);
}

void page_percent(struct page *p, double share)
{
    char text[SCALE_TEXT];

    if (isfinite(share))
        percent_text(share, text);
    else
        number_text(NAN, 3, text);
    fprintf(p->f, "<td>%s</td>", text);
}

void page_site(struct page *p, const struct report_site *s)
{
    page_count(p, (int64_t)s->block);
    page_cell(p, p->r->kind[s->kind]);
}

int lines_init(struct page_lines *l, size_t most, size_t room, struct err *e)
{
    size_t n;

    *l = (struct page_lines){.most = most ? most : 1, .room = room ? room : 1};
    if (mem_mul(l->most, l->room, &n) < 0)
        return err_set(e, ERR_USE, "too many points for a chart");
    if ((l->s = mem_array(l->most, sizeof *l->s, e)) &&
        (l->data = mem_array(2 * n, sizeof *l->data, e)) && (l->ring = mem_array(n, 1, e)))
        return 0;
    lines_release(l);
    return -1;
}

void lines_release(struct page_lines *l)
{
    free(l->s);
    free(l->data);
    free(l->ring);
    *l = (struct page_lines){0};
}

struct plot_series *lines_get(struct page_lines *l, const char *name, int line, int points)
{
    struct plot_series *s;

    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->s[i].name, name) == 0)
            return &l->s[i];
    if (l->n == l->most)
        return NULL;
    s = &l->s[l->n];
    *s = (struct plot_series){.name = name,
                              .x = l->data + 2 * l->room * l->n,
                              .y = l->data + 2 * l->room * l->n + l->room,
                              .ring = l->ring + l->room * l->n,
                              .line = line,
                              .points = points};
    l->n++;
    return s;
}

void lines_add(struct page_lines *l, struct plot_series *s, double x, double y, int ring)
{
    size_t at = (size_t)(s - l->s) * l->room + s->count;

    if (s->count == l->room)
        return;
    l->data[at + (size_t)(s - l->s) * l->room] = x;
    l->data[at + (size_t)(s - l->s) * l->room + l->room] = y;
    l->ring[at] = (unsigned char)ring;
    s->count++;
}

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

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

static const char *text_of(const struct json *j, const char *key, const char *missing)
{
    const char *t = json_as_text(json_get(j, key));

    return t ? t : missing;
}

static double real_of(const struct json *j, const char *key)
{
    double v;

    return json_as_real(json_get(j, key), &v) == 0 ? v : NAN;
}

/* Values of a text over all linears, with how many have each: "gptq: 20 of 24; gptaq: 4 of 24". */
static void tally(const struct report *r,
                  void (*of)(const struct report_site *s, const struct json *linear, char *out,
                             size_t n),
                  char *out, size_t size)
{
    char seen[12][96], one[96];
    size_t count[12] = {0}, n = 0, at = 0, all = 0;

    for (size_t i = 0; i < r->nsites; i++)
        for (size_t l = 0; l < json_count(r->site[i].linears); l++, all++) {
            size_t k = 0;

            of(&r->site[i], json_at(r->site[i].linears, l), one, sizeof one);
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

static int is_kept(const struct json *linear)
{
    int kept = 0;

    return json_as_bool(json_get(linear, "kept"), &kept) == 0 && kept;
}

static void solver_of(const struct report_site *s, const struct json *linear, char *out, size_t n)
{
    snprintf(out, n, "%s", is_kept(linear) ? "none" : text_of(linear, "solver", s->solver));
}

static void grid_of(const struct report_site *s, const struct json *linear, char *out, size_t n)
{
    int64_t bits = 0, group = 0;
    char scales[48] = "one scale a row";

    (void)s;
    if (is_kept(linear)) {
        snprintf(out, n, "left at full precision");
        return;
    }
    if (json_as_int(json_get(linear, "bits"), &bits) ||
        json_as_int(json_get(linear, "group"), &group)) {
        snprintf(out, n, "not known");
        return;
    }
    if (group > 0)
        snprintf(scales, sizeof scales, "groups of %lld", (long long)group);
    snprintf(out, n, "%lld bits, %s, %.20s", (long long)bits, scales, text_of(linear, "grid", "?"));
}

static void summary_size(struct page *p)
{
    const struct report *r = p->r;
    const struct json *after = json_get(r->done, "bytes_after");
    double before = real_of(r->done, "bytes_before"), weights = 0, stored = 0;
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
    least = most = s->ess;
    for (size_t i = 1; i < p->r->nsites; i++) {
        least = p->r->site[i].ess < least ? p->r->site[i].ess : least;
        most = p->r->site[i].ess > most ? p->r->site[i].ess : most;
    }
    number_text(s->tokens < 0 ? NAN : (double)s->tokens, 16, a);
    number_text(s->sequences < 0 ? NAN : (double)s->sequences, 16, b);
    number_text(floor(least + 0.5), 16, c);
    number_text(floor(most + 0.5), 16, d);
    fact(p, "Calibration", "%s tokens in %s sequences; effective sample size %s%s%s%s", a, b, c,
         strcmp(c, d) ? " to " : "", strcmp(c, d) ? d : "",
         s->judged_on && strcmp(s->judged_on, "hold") == 0 ? " (held-out chunks not counted)" : "");
}

static void summary_cost(struct page *p)
{
    const struct json *run = p->r->run;
    double wall = real_of(run, "wall_s"), cpu = real_of(run, "cpu_s"),
           done = real_of(p->r->done, "wall");
    char a[SCALE_TEXT], b[SCALE_TEXT];

    if (!run) {
        seconds_text(isfinite(done) ? done
                     : p->r->nsites ? p->r->site[p->r->nsites - 1].wall
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
    bytes_text(real_of(run, "peak_rss_sum_mib") * 1024 * 1024, a);
    bytes_text(real_of(run, "peak_rss_mib") * 1024 * 1024, b);
    fact(p, "Peak memory", "%s over all processes, %s in the largest", a, b);
}

static void summary(struct page *p)
{
    const struct report *r = p->r;
    char text[1024];

    fputs("<div class=\"scroll\"><table class=\"plain\"><tbody>\n", p->f);
    fact(p, "Model", "%s", text_of(r->start, "model", "not known"));
    fact(p, "Sites", "%zu of %llu: %llu blocks of %zu", r->nsites, (unsigned long long)r->sites_all,
         (unsigned long long)report_blocks(r), r->nkinds);
    tally(r, grid_of, text, sizeof text);
    fact(p, "Grid", "%s", text);
    tally(r, solver_of, text, sizeof text);
    fact(p, "Solver", "%s", text);
    summary_size(p);
    summary_data(p);
    summary_cost(p);
    fact(p, "Written", "%s, ptqflow %s; started %s", text_of(r->start, "formats", "?"),
         text_of(r->start, "version", "?"), text_of(r->start, "time", "?"));
    fputs("</tbody></table></div>\n", p->f);
}

/* What the reader must know before anything else: the run is not done, or this is not all of it. */
static void state(struct page *p)
{
    const struct report *r = p->r;

    if (r->failed)
        page_note(p, "alert", "The run failed: %.1500s", r->failed);
    else if (!r->done)
        page_note(p, "alert",
                  "The run is not done: it is still going, or it was stopped. %zu of %llu sites "
                  "are there.",
                  r->nsites, (unsigned long long)r->sites_all);
    if (r->cut)
        page_note(p, "alert",
                  "The journal's last line is not whole and was left out: the run was writing it, "
                  "or was cut off.");
    if (r->other)
        page_note(p, "alert",
                  "%zu records of the journal are of kinds that this version does not know; they "
                  "were left out.",
                  r->other);
}

static void all_sites(struct page *p)
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
        page_cell(p, s->solver);
        page_count(p, s->inputs);
        page_number(p, s->loss, 4);
        page_number(p, s->rel_loss, 4);
        page_number(p, s->asym_loss, 4);
        page_number(p, s->damp, 3);
        page_count(p, s->tokens);
        page_number(p, floor(s->ess + 0.5), 16);
        page_number(p, s->coverage, 4);
        page_count(p, s->dead);
        page_seconds(p, s->seconds);
        page_row_end(p);
    }
    page_table_end(p, fold);
}

static void variables(struct page *p)
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

int page_write(FILE *f, const struct report *r, struct err *e)
{
    struct page p = {f, r, e};
    const char *model = base_name(text_of(r->start, "model", r->path));

    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
          f);
    html_text(f, model);
    fprintf(f,
            ": quantization "
            "report</title>\n<style>\n%s</style></head><body><main>\n<h1>Quantization of ",
            style);
    html_text(f, model);
    fputs("</h1>\n<p class=\"sub\">", f);
    html_text(f, r->path);
    fputs("</p>\n", f);
    state(&p);
    summary(&p);
    if (!r->nsites)
        page_note(&p, "missing", "No site is solved yet: there is nothing to draw.");
    else if (page_losses(&p) || page_contest(&p) || page_trouble(&p) || page_samples(&p) ||
             page_lengths(&p) || page_classes(&p) || page_spectra(&p))
        return -1;
    if (page_costs(&p))
        return -1;
    if (r->nsites)
        all_sites(&p);
    variables(&p);
    fprintf(f, "<p class=\"sub\">ptq-report %s</p>\n</main></body></html>\n", PTQ_VERSION);
    return fflush(f) || ferror(f) ? err_sys(e, "cannot write the report") : 0;
}
