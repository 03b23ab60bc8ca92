/* SPDX-License-Identifier: Apache-2.0 */
/* page - style, frame, tables and lines of a page; see page.h. */
#include "page.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/bytes.h"
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
    ".pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px;"
    "margin:.8em 0}.pictures "
    "image{image-rendering:pixelated}.pictures .grid{stroke:#fff;stroke-opacity:.5}\n"
    "figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:6px;\n"
    "padding:6px;max-width:560px}svg{display:block;width:100%;height:auto}\n"
    /* shadows at the edges behind which there is more of a table */
    ".scroll{overflow-x:auto;margin:.6em 0;background:"
    "linear-gradient(to right,var(--bg) 30%,transparent) left/32px 100% no-repeat local,\n"
    "linear-gradient(to left,var(--bg) 30%,transparent) right/32px 100% no-repeat local,\n"
    "linear-gradient(to right,var(--dim),transparent) left/10px 100% no-repeat scroll,\n"
    "linear-gradient(to left,var(--dim),transparent) right/10px 100% no-repeat scroll}\n"
    ".scroll:focus-visible{outline:2px solid var(--c0)}\n"
    "table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}\n"
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

void page_open(struct page *p, const char *title, const char *about, const char *where)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'; img-src data:\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
          p->f);
    html_text(p->f, title);
    fprintf(p->f, "</title>\n<style>\n%s</style></head><body><main>\n<h1>", style);
    html_text(p->f, about);
    fputs("</h1>\n<p class=\"sub\">", p->f);
    html_text(p->f, where);
    fputs("</p>\n", p->f);
}

int page_close(struct page *p)
{
    fprintf(p->f, "<p class=\"sub\">ptq-report %s</p>\n</main></body></html>\n", PTQ_VERSION);
    return fflush(p->f) || ferror(p->f) ? err_sys(p->e, "cannot write the report") : 0;
}

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
    fputs("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>", p->f);
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
    page_count(p, (int64_t)s->j.block);
    page_cell(p, s->j.name);
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
