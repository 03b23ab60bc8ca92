/* SPDX-License-Identifier: Apache-2.0 */
/* report_experts - how many tokens each expert of a mixture got: a map of all of them, a row for
 * each block, and a table of blocks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/plural.h"
#include "sections.h"

#define WIDTH 1000.0
#define ROW 16.0
#define LEFT 40.0

/* The first site of an expert: both have the same tokens. */
static int is_first(const struct report *r, size_t i)
{
    const struct report_site *s = &r->site[i];

    if (s->j.routed < 0)
        return 0;
    for (size_t k = i; k-- > 0 && r->site[k].j.block == s->j.block;)
        if (r->site[k].j.routed >= 0 &&
            strncmp(r->site[k].j.name, s->j.name,
                    1 + (size_t)(strrchr(s->j.name, '.') - s->j.name)) == 0)
            return 0;
    return 1;
}

struct load { /* of one block */
    uint64_t block;
    size_t experts, starved;
    int64_t all, least, most;
};

/* From site *i on; 0: there is none left. */
static int next_block(const struct report *r, size_t *i, struct load *l)
{
    *l = (struct load){.least = INT64_MAX};
    for (; *i < r->nsites; ++*i) {
        const struct journal_site *s = &r->site[*i].j;

        if (l->experts && s->block != l->block)
            break;
        if (!is_first(r, *i))
            continue;
        l->block = s->block;
        l->experts++;
        l->starved += s->starved != NULL;
        l->all += s->routed;
        l->least = s->routed < l->least ? s->routed : l->least;
        l->most = s->routed > l->most ? s->routed : l->most;
    }
    return l->experts > 0;
}

static void print_cell(struct page *p, const struct journal_site *s, const struct load *l,
                       size_t column, size_t row)
{
    const double wide = (WIDTH - LEFT) / (double)l->experts,
                 even = (double)l->all / (double)l->experts,
                 shade = even > 0 ? fmin(1, sqrt((double)s->routed / even / 4)) : 0;

    fprintf(p->f,
            "<rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%.0f\" fill=\"var(--c0)\" "
            "fill-opacity=\"%.3f\" stroke=\"var(--%s)\" stroke-width=\"%s\"><title>block %llu, "
            "%.*s: %lld token%s%s%s</title></rect>\n",
            LEFT + wide * (double)column, ROW * (double)row, wide * 0.94, ROW * 0.9, shade,
            s->starved ? "c1" : "rule", s->starved ? "1.5" : "0.5", (unsigned long long)s->block,
            (int)(strrchr(s->name, '.') - s->name), s->name, (long long)s->routed,
            plural_s((uint64_t)s->routed), s->starved ? ", starved: " : "",
            s->starved ? s->starved : "");
}

static void print_map(struct page *p, size_t blocks)
{
    const struct report *r = p->r;
    struct load l;
    size_t row = 0;

    fprintf(p->f,
            "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\"><title>Tokens of each expert</title>\n",
            WIDTH, ROW * (double)blocks);
    for (size_t i = 0, from = 0, column = 0; next_block(r, &i, &l); from = i, row++, column = 0) {
        fprintf(p->f, "<text x=\"0\" y=\"%.0f\">%llu</text>\n", ROW * (double)row + 12,
                (unsigned long long)l.block);
        for (size_t k = from; k < i; k++)
            if (is_first(r, k))
                print_cell(p, &r->site[k].j, &l, column++, row);
    }
    fputs("</svg>\n", p->f);
}

void section_experts(struct page *p)
{
    static const char *const head[] = {"block", "experts",        "tokens of all", "fewest",
                                       "most",  "most over even", "starved"};
    struct load l;
    size_t blocks = 0;

    for (size_t i = 0; next_block(p->r, &i, &l);)
        blocks++;
    if (!blocks)
        return;
    page_head(p, "Tokens of each expert");
    page_note(
        p, "",
        "A row for each block, a cell for each expert: the darker, the more tokens its router "
        "sent there (full: four times an even share, or more). A starved one has a frame; its "
        "tokens are in the tip.");
    print_map(p, blocks);
    page_table(p, "Blocks with experts", head, sizeof head / sizeof *head);
    for (size_t i = 0; next_block(p->r, &i, &l);) {
        page_row(p);
        page_count(p, (int64_t)l.block);
        page_count(p, (int64_t)l.experts);
        page_count(p, l.all);
        page_count(p, l.least);
        page_count(p, l.most);
        page_number(p, l.all ? (double)l.most * (double)l.experts / (double)l.all : NAN, 3);
        page_count(p, (int64_t)l.starved);
        page_row_end(p);
    }
    page_table_end(p, "Blocks with experts");
}
