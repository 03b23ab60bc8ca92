/* SPDX-License-Identifier: Apache-2.0 */
/* report_read - the journal and run.json; report_spectrum.c reads problems. */
#include "report_read.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"

#define JOURNAL_BYTES ((size_t)256 << 20)
#define SITES_MAX 1000000
#define SCALE_BITS 16 /* f16 and bf16, what checkpoints store */

static size_t kind_find(struct report *r, const char *name, const char *what, struct err *e)
{
    for (size_t i = 0; i < r->nkinds; i++)
        if (strcmp(r->kind[i], name) == 0)
            return i;
    if (r->nkinds == REPORT_KINDS) {
        err_set(e, ERR_USE, "%s: more than %d different names of sites", what, REPORT_KINDS);
        return REPORT_KINDS;
    }
    r->kind[r->nkinds] = name;
    return r->nkinds++;
}

/* Counts that older journals lack are -1. */
static int count_of(const struct json *j, const char *key, int64_t *v, const char *what,
                    struct err *e)
{
    return json_opt_int(j, key, 0, INT64_MAX, -1, v, what, e);
}

static int linears_add(struct report_site *s, const char *what, struct err *e)
{
    double asym = 0, weights = 0, stored = 0;

    for (size_t i = 0; i < json_count(s->linears); i++) {
        const struct json *l = json_at(s->linears, i);
        int64_t rows, bits, group;
        double loss, groups;
        int kept;

        if (json_opt_bool(l, "kept", 0, &kept, what, e))
            return -1;
        if (kept) {
            s->kept++;
            continue;
        }
        if (json_opt_real(l, "asym_loss", NAN, &loss, what, e) ||
            json_opt_int(l, "rows", 1, INT32_MAX, -1, &rows, what, e) ||
            json_opt_int(l, "bits", 1, 64, -1, &bits, what, e) ||
            json_opt_int(l, "group", -1, INT32_MAX, 0, &group, what, e))
            return -1;
        asym += loss;
        if (rows < 0 || bits < 0 || !group || s->inputs < 1)
            weights = NAN;
        groups = group < 0 ? 1 : ceil((double)s->inputs / (double)group);
        weights += (double)rows * (double)s->inputs;
        stored += (double)rows *
                  ((double)s->inputs * (double)bits + groups * (double)(SCALE_BITS + bits));
    }
    if (s->kept && s->kept == json_count(s->linears))
        s->loss = s->rel_loss = s->asym_loss = s->damp = NAN; /* nothing was solved */
    else
        s->asym_loss = json_count(s->linears) ? asym : NAN;
    s->weights = weights;
    s->stored_bits = isnan(weights) ? NAN : stored;
    return 0;
}

static int contenders_add(struct report_site *s, const struct json *list, const char *what,
                          struct err *e)
{
    size_t n = json_count(list);

    if (n > REPORT_CONTENDERS)
        return err_set(e, ERR_USE, "%s: more than %d contenders", what, REPORT_CONTENDERS);
    for (size_t i = 0; i < n; i++) {
        struct report_contender *c = &s->contender[i];
        const struct json *j = json_at(list, i);

        if (!(c->solver = json_need_text(j, "solver", what, e)) ||
            json_opt_real(j, "loss", NAN, &c->loss, what, e) ||
            json_opt_real(j, "asym_loss", NAN, &c->asym_loss, what, e) ||
            json_opt_real(j, "hold_loss", NAN, &c->hold_loss, what, e))
            return -1;
    }
    s->ncontenders = n;
    return 0;
}

static int lengths_check(const struct json *list, const char *what, struct err *e)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *row = json_at(list, i);
        int64_t length, sequences;
        double w;

        if (json_as_int(json_at(row, 0), &length) || json_as_int(json_at(row, 1), &sequences) ||
            json_as_real(json_at(row, 2), &w) || length < 0 || sequences < 0 || !(w >= 0))
            return err_set(e, ERR_USE,
                           "%s: field 'lengths': entry %zu is not [length, sequences, weight]",
                           what, i);
    }
    return 0;
}

static int classes_check(const struct json *list, const char *what, struct err *e)
{
    static const char *const numbers[] = {"tokens", "sum_w", "energy", "loss"};
    double v;

    if (json_count(list) > REPORT_CLASSES)
        return err_set(e, ERR_USE, "%s: field 'classes' has more than %d entries", what,
                       REPORT_CLASSES);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *x = json_at(list, i);

        if (!json_need_text(x, "kind", what, e) || !json_need_text(x, "name", what, e))
            return err_prefix(e, "field 'classes', entry %zu", i);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (json_opt_real(x, numbers[k], NAN, &v, what, e))
                return err_prefix(e, "field 'classes', entry %zu", i);
    }
    return 0;
}

static int numbers_read(const struct json *j, struct report_site *s, const char *what,
                        struct err *e)
{
    return json_opt_real(j, "loss", NAN, &s->loss, what, e) ||
                   json_opt_real(j, "rel_loss", NAN, &s->rel_loss, what, e) ||
                   json_opt_real(j, "damp", NAN, &s->damp, what, e) ||
                   json_opt_real(j, "sum_w", NAN, &s->sum_w, what, e) ||
                   json_opt_real(j, "ess", NAN, &s->ess, what, e) ||
                   json_opt_real(j, "coverage", NAN, &s->coverage, what, e) ||
                   json_opt_real(j, "seconds", NAN, &s->seconds, what, e) ||
                   json_opt_real(j, "wall", NAN, &s->wall, what, e) ||
                   count_of(j, "attempts", &s->attempts, what, e) ||
                   count_of(j, "dead", &s->dead, what, e) ||
                   count_of(j, "raised", &s->raised, what, e) ||
                   count_of(j, "tokens", &s->tokens, what, e) ||
                   count_of(j, "sequences", &s->sequences, what, e) ||
                   count_of(j, "inputs", &s->inputs, what, e) ||
                   count_of(j, "bytes_in", &s->bytes_in, what, e) ||
                   count_of(j, "bytes_raw", &s->bytes_raw, what, e) ||
                   count_of(j, "bytes_part", &s->bytes_part, what, e)
               ? -1
               : 0;
}

static int site_add(struct report *r, const struct json *j, const char *what, struct err *e)
{
    struct report_site s = {.line = r->nsites};
    int64_t order, sites, block;
    const char *name = json_need_text(j, "site", what, e);

    if (!name || json_need_int(j, "sites", 1, SITES_MAX, &sites, what, e) ||
        json_need_int(j, "order", 0, sites - 1, &order, what, e) ||
        json_need_int(j, "block", 0, SITES_MAX, &block, what, e) || numbers_read(j, &s, what, e))
        return -1;
    s.order = (uint64_t)order;
    s.block = (uint64_t)block;
    s.solver = json_as_text(json_get(j, "solver"));
    s.solver = s.solver ? s.solver : "?";
    s.fallback = json_as_text(json_get(j, "fallback"));
    s.judged_on = json_as_text(json_get(j, "judged_on"));
    s.criterion = json_as_text(json_get(j, "criterion"));
    s.lengths = json_count(json_get(j, "lengths")) ? json_get(j, "lengths") : NULL;
    s.classes = json_count(json_get(j, "classes")) ? json_get(j, "classes") : NULL;
    s.linears = json_get(j, "linears");
    if ((s.kind = kind_find(r, name, what, e)) == REPORT_KINDS || linears_add(&s, what, e) ||
        lengths_check(s.lengths, what, e) || classes_check(s.classes, what, e) ||
        contenders_add(&s, json_get(j, "contenders"), what, e))
        return -1;
    r->sites_all = (uint64_t)sites;
    if (mem_grow((void **)&r->site, &r->sites_cap, r->nsites + 1, sizeof *r->site, e))
        return -1;
    r->site[r->nsites++] = s;
    return 0;
}

static int record_add(struct report *r, const struct json *j, const char *what, struct err *e)
{
    const char *kind = json_as_text(json_get(j, "record"));

    if (!kind)
        return err_set(e, ERR_USE, "%s: not a record of a journal: no field 'record'", what);
    if (strcmp(kind, "site") == 0)
        return site_add(r, j, what, e);
    if (strcmp(kind, "start") == 0)
        r->start = j;
    else if (strcmp(kind, "done") == 0)
        r->done = j;
    else if (strcmp(kind, "publish") != 0)
        r->other++;
    return 0;
}

static int line_add(struct report *r, const char *line, size_t length, size_t number, struct err *e)
{
    char *what = mem_printf(e, "%s line %zu", r->journal, number);
    struct json *j = what ? json_parse(line, length, what, e) : NULL;
    int rc = -1;

    if (j && json_push(r->records, j))
        err_set(e, ERR_SYS, "%s: out of memory", what);
    else if (j)
        rc = record_add(r, j, what, e);
    free(what);
    return rc;
}

static int journal_read(struct report *r, struct err *e)
{
    size_t length = 0, number = 1;
    char *text, *at, *end;
    int rc = -1;

    if (!fs_exists(r->journal))
        return err_set(
            e, ERR_USE,
            "there is no '%s': give the folder that ptq run or ptq-write wrote its checkpoint to",
            r->journal);
    if (!(text = fs_read(r->journal, JOURNAL_BYTES, &length, e)))
        return -1;
    for (at = text; (end = memchr(at, '\n', length - (size_t)(at - text))); at = end + 1, number++)
        if (line_add(r, at, (size_t)(end - at), number, e))
            goto out;
    r->cut = (size_t)(at - text) < length;
    rc = 0;
out:
    free(text);
    return rc;
}

static int by_order(const void *a, const void *b)
{
    const struct report_site *x = a, *y = b;

    if (x->order != y->order)
        return x->order > y->order ? 1 : -1;
    return (x->line > y->line) - (x->line < y->line);
}

/* In order; a site that is there twice (a resumed run) counts as it was last. */
static void sites_sort(struct report *r)
{
    size_t n = 0;

    if (r->nsites)
        qsort(r->site, r->nsites, sizeof *r->site, by_order);
    for (size_t i = 0; i < r->nsites; i++) {
        if (n && r->site[n - 1].order == r->site[i].order)
            n--;
        r->site[n++] = r->site[i];
    }
    r->nsites = n;
}

/* Kinds as the data flows through a block, not as they came. */
static void kinds_sort(struct report *r)
{
    size_t map[REPORT_KINDS], n = 0;
    const char *name[REPORT_KINDS];

    for (size_t i = 0; i < r->nkinds; i++)
        map[i] = REPORT_KINDS;
    for (size_t i = 0; i < r->nsites; i++)
        if (map[r->site[i].kind] == REPORT_KINDS) {
            name[n] = r->kind[r->site[i].kind];
            map[r->site[i].kind] = n++;
        }
    for (size_t i = 0; i < r->nsites; i++)
        r->site[i].kind = map[r->site[i].kind];
    memcpy(r->kind, name, n * sizeof *name);
    r->nkinds = n;
}

static int extras_read(struct report *r, struct err *e)
{
    char *run = mem_printf(e, "%s/.ptqflow/run.json", r->path),
         *failed = mem_printf(e, "%s/.ptqflow/failed", r->path);
    size_t n;
    int rc = -1;

    if (!run || !failed || (fs_exists(run) && !(r->run = json_read(run, e))) ||
        (fs_exists(failed) && !(r->failed = fs_read(failed, 1 << 16, &n, e))))
        goto out;
    if (r->run && json_kind(r->run) != JSON_KIND_OBJECT) {
        err_set(e, ERR_USE, "%s: not an object", run);
        goto out;
    }
    rc = 0;
out:
    free(run);
    free(failed);
    return rc;
}

struct report *report_open(const char *out, struct err *e)
{
    struct report *r = mem_array(1, sizeof *r, e);

    if (!r)
        return NULL;
    r->path = mem_text(out, e);
    r->journal = mem_printf(e, "%s/.ptqflow/journal.jsonl", out);
    r->records = json_new_array();
    if (!r->path || !r->journal || !r->records || journal_read(r, e) || extras_read(r, e)) {
        report_close(&r);
        return NULL;
    }
    sites_sort(r);
    kinds_sort(r);
    return r;
}

uint64_t report_blocks(const struct report *r)
{
    uint64_t most = 0;

    for (size_t i = 0; i < r->nsites; i++)
        most = r->site[i].block > most ? r->site[i].block : most;
    if (r->nkinds && r->sites_all / r->nkinds > most + 1 && r->sites_all % r->nkinds == 0)
        return r->sites_all / r->nkinds;
    return r->nsites ? most + 1 : 0;
}

void report_close(struct report **rp)
{
    struct report *r = rp ? *rp : NULL;
    int saved = errno;

    if (!r)
        return;
    for (size_t i = 0; i < r->nspectra; i++) {
        for (size_t k = 0; k < r->spectrum[i].count; k++)
            free(r->spectrum[i].class[k].sorted);
        free(r->spectrum[i].class);
    }
    free(r->spectrum);
    free(r->site);
    json_destroy(&r->records);
    json_destroy(&r->run);
    free(r->failed);
    free(r->problems_why);
    free(r->path);
    free(r->journal);
    free(r);
    *rp = NULL;
    errno = saved;
}
