/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_read - the journal of a finished run: what each site lost, and how it is stored. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "../../../common/format/grid.h"
#include "../../../common/run/journal.h"
#include "../../../common/run/journal_site.h"
#include "allocate_impl.h"

/* "expert.12.up" -> "expert.*.up": a pattern that hits all experts. */
static char *unit_name(const char *site, struct err *e)
{
    static const char before[] = "expert.";
    char *name = mem_text(site, e), *at = name ? strstr(name, before) : NULL;
    size_t digits = 0;

    if (!at)
        return name;
    at += sizeof before - 1;
    while (isdigit((unsigned char)at[digits]))
        digits++;
    if (digits == 0)
        return name;
    memmove(at + 1, at + digits, strlen(at + digits) + 1);
    *at = '*';
    return name;
}

/* Takes name over. */
static struct unit *unit_of(struct allocate *a, uint64_t block, char *name, struct err *e)
{
    struct unit *u;

    for (size_t i = 0; i < a->units; i++)
        if (a->unit[i].block == block && strcmp(a->unit[i].name, name) == 0) {
            free(name);
            return &a->unit[i];
        }
    if (mem_grow((void **)&a->unit, &a->cap, a->units + 1, sizeof *a->unit, e) < 0) {
        free(name);
        return NULL;
    }
    u = &a->unit[a->units++];
    *u = (struct unit){.block = block, .name = name, .weight = 1.0};
    u->candidate = mem_array(a->runs + 1, sizeof *u->candidate, e);
    return u->candidate ? u : NULL;
}

/* One way for all linears of a unit. */
static int same_way(struct candidate *c, const struct journal_linear *l, const char *what,
                    struct err *e)
{
    const struct grid *grid = l->kept ? NULL : grid_find(l->grid ? l->grid : "");

    if (!l->kept && (!grid || l->bits <= 0 || l->group == 0))
        return err_set(e, ERR_USE, "%s: '%s': bits, group or grid are missing or not known", what,
                       l->name);
    if (c->linears++ == 0) {
        c->kept = l->kept;
        c->bits = l->bits;
        c->group = l->group;
        c->grid = grid ? grid->name : NULL;
        return 0;
    }
    if (c->kept == l->kept &&
        (c->kept || (c->bits == l->bits && c->group == l->group && c->grid == grid->name)))
        return 0;
    return err_set(e, ERR_USE,
                   "%s: '%s' is stored in another way than the linears it is chosen together with",
                   what, l->name);
}

static double groups_of(const struct journal_linear *l, double K)
{
    return (double)l->rows * (l->group < 0 ? 1.0 : ceil(K / (double)l->group));
}

static uint64_t bits_of(const struct journal_linear *l, double K)
{
    const double weights = (double)l->rows * K;

    return l->kept
               ? (uint64_t)(weights * KEPT_BITS)
               : (uint64_t)(weights * (double)l->bits + groups_of(l, K) * (double)(16 + l->bits));
}

static double loss_of(const struct allocate *a, const struct journal_linear *l, double K)
{
    if (l->kept)
        return 0.0;
    switch (a->o.score) {
    case ALLOCATE_RELATIVE:
    case ALLOCATE_AGREED:
        return l->rel_loss * (double)l->rows * K;
    case ALLOCATE_ROUND_OFF:
        return l->round_off * (double)l->rows * K;
    case ALLOCATE_TRACE:
        return l->trace;
    default:
        return l->loss;
    }
}

static double other_of(const struct allocate *a, const struct journal_linear *l, double K)
{
    return l->kept || a->o.score != ALLOCATE_AGREED ? 0.0 : l->round_off * (double)l->rows * K;
}

static int add_site(struct allocate *a, size_t r, const struct journal_site *s, const char *what,
                    struct err *e)
{
    char *name = s->inputs > 0 ? unit_name(s->name, e) : NULL;
    struct unit *u = name ? unit_of(a, s->block, name, e) : NULL;
    struct candidate *c;

    if (s->inputs <= 0)
        return err_set(e, ERR_USE, "%s: site '%s' does not say how many inputs it has", what,
                       s->name);
    if (!u)
        return -1;
    c = &u->candidate[r];
    for (size_t i = 0; i < s->nlinears; i++) {
        const struct journal_linear *l = &s->linear[i];
        const double K = (double)s->inputs, loss = loss_of(a, l, K);

        if (!isfinite(loss))
            return err_set(e, ERR_USE, "%s: '%s' has no %s: a run of this version has", what,
                           l->name, allocate_score_name(a->by));
        if (loss < 0)
            return err_set(e, ERR_USE,
                           "%s: '%s' has a loss of %g, which no run notes: the journal is damaged",
                           what, l->name, loss);
        if (same_way(c, l, what, e) < 0)
            return -1;
        c->loss += loss;
        c->other += other_of(a, l, K);
        c->cost += bits_of(l, K);
        c->scales += l->kept ? 0.0 : groups_of(l, K);
        if (r == 0)
            u->weights += (double)l->rows * K;
        a->several_grids |=
            c->grid && a->unit[0].candidate[0].grid && c->grid != a->unit[0].candidate[0].grid;
    }
    c->tokens += (double)s->tokens;
    return 0;
}

/* Losses can be compared when all runs saw the same. */
static int check_same(struct allocate *a, size_t r, const char *what, struct err *e)
{
    for (size_t i = 0; i < a->units && r > 0; i++) {
        struct unit *u = &a->unit[i];

        if (u->candidate[r].linears != u->candidate[0].linears)
            return err_set(e, ERR_USE, "%s: b%llu.%s is not as in '%s': runs of one model, please",
                           what, (unsigned long long)u->block, u->name, a->run[0]);
        if (fabs(u->candidate[r].tokens - u->candidate[0].tokens) > 0.0)
            return err_set(e, ERR_USE,
                           "%s: b%llu.%s saw other tokens than in '%s': losses can be compared "
                           "when the calibration was the same (ptq resolve of one recording)",
                           what, (unsigned long long)u->block, u->name, a->run[0]);
    }
    return 0;
}

static int read_records(struct allocate *a, size_t r, const struct json *records, const char *what,
                        struct err *e)
{
    int done = 0;

    for (size_t i = 0; i < json_count(records); i++) {
        const struct json *x = json_at(records, i);
        const char *record = json_text_or(x, "record", "");
        struct journal_site s = {0};
        int bad;

        done |= strcmp(record, "done") == 0;
        if (strcmp(record, "start") == 0 && !a->model &&
            !(a->model = mem_text(json_text_or(x, "model", "?"), e)))
            return -1;
        if (strcmp(record, "start") == 0 && strcmp(json_text_or(x, "model", "?"), a->model) != 0)
            return err_set(e, ERR_USE, "%s: a run of '%s', not of '%s' as '%s' is", what,
                           json_text_or(x, "model", "?"), a->model, a->run[0]);
        if (strcmp(record, "site") != 0)
            continue;
        bad = journal_site_read(x, &s, what, e) < 0 || add_site(a, r, &s, what, e) < 0;
        journal_site_release(&s);
        if (bad)
            return -1;
    }
    return done
               ? check_same(a, r, what, e)
               : err_set(e, ERR_USE, "'%s': this run is not finished: let it end first", a->run[r]);
}

int allocate_read(struct allocate *a, size_t r, struct err *e)
{
    char *path = mem_printf(e, "%s/.ptqflow/" JOURNAL_NAME, a->run[r]);
    struct json *records = NULL;
    const size_t units = a->units;
    int rc = -1, cut;

    if (!path || !(records = journal_read(path, &cut, e)))
        goto out;
    rc = read_records(a, r, records, path, e);
    if (rc == 0 && r > 0 && a->units != units)
        rc = err_set(e, ERR_USE, "%s: it has sites that '%s' has not", path, a->run[0]);
out:
    json_destroy(&records);
    free(path);
    return rc;
}
