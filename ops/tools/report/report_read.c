/* SPDX-License-Identifier: Apache-2.0 */
/* report_read - the journal and run.json; report_spectrum.c reads problems. */
#include "report_read.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/log.h"
#include "../../../common/base/mem.h"
#include "../../../common/run/evals.h"
#include "../../../common/run/journal.h"

#define SCALE_BITS 16 /* f16 and bf16, what checkpoints store */

#define EXPERT "expert."

/* What follows the number of an expert; NULL: the site is of none. */
static const char *behind_expert(const char *name)
{
    size_t n = strlen(EXPERT);

    if (strncmp(name, EXPERT, n) != 0)
        return NULL;
    return strspn(name + n, "0123456789") ? name + n + strspn(name + n, "0123456789") : NULL;
}

size_t report_kind(const struct report *r, const char *site)
{
    const char *part = behind_expert(site);
    size_t i = 0;

    while (i < r->nkinds && (part ? strncmp(r->kind[i], EXPERT "*", strlen(EXPERT "*")) != 0 ||
                                        strcmp(r->kind[i] + strlen(EXPERT "*"), part) != 0
                                  : strcmp(r->kind[i], site) != 0))
        i++;
    return i;
}

static size_t kind_find(struct report *r, const char *name, const char *what, struct err *e)
{
    const char *part = behind_expert(name);
    const size_t kind = report_kind(r, name);

    if (kind < r->nkinds)
        return kind;
    if (r->nkinds == REPORT_KINDS) {
        err_set(e, ERR_USE, "%s: more than %d different names of sites", what, REPORT_KINDS);
        return REPORT_KINDS;
    }
    if (part && !(r->experts[r->nexperts++] = mem_printf(e, EXPERT "*%s", part)))
        return REPORT_KINDS;
    r->kind[r->nkinds] = part ? r->experts[r->nexperts - 1] : name;
    return r->nkinds++;
}

/* What follows from the linears of a site. */
static void linears_sum(struct report_site *s)
{
    struct journal_site *j = &s->j;

    for (size_t i = 0; i < j->nlinears; i++) {
        const struct journal_linear *l = &j->linear[i];
        double rows = (double)l->rows, inputs = (double)j->inputs, groups;

        if (l->kept) {
            s->kept++;
            continue;
        }
        s->asym_loss += l->asym_loss;
        if (l->rows < 0 || l->bits < 0 || !l->group || j->inputs < 1)
            s->weights = NAN;
        groups = l->group < 0 ? 1 : ceil(inputs / (double)l->group);
        s->weights += rows * inputs;
        s->stored_bits +=
            rows * (inputs * (double)l->bits + groups * (double)(SCALE_BITS + l->bits));
    }
    if (s->kept && s->kept == j->nlinears)
        j->loss = j->rel_loss = s->asym_loss = j->damp = NAN; /* nothing was solved */
    if (!j->nlinears)
        s->asym_loss = NAN;
    if (isnan(s->weights))
        s->stored_bits = NAN;
}

static int site_add(struct report *r, const struct json *j, const char *what, struct err *e)
{
    struct report_site s = {.line = r->nsites};

    if (journal_site_read(j, &s.j, what, e))
        return -1;
    linears_sum(&s);
    if ((s.kind = kind_find(r, s.j.name, what, e)) == REPORT_KINDS ||
        mem_grow((void **)&r->site, &r->sites_cap, r->nsites + 1, sizeof *r->site, e)) {
        journal_site_release(&s.j);
        return -1;
    }
    r->sites_all = s.j.sites;
    r->site[r->nsites++] = s;
    return 0;
}

static int record_add(struct report *r, const struct json *j, const char *what, struct err *e)
{
    const char *kind = json_as_text(json_get(j, "record"));

    if (strcmp(kind, "site") == 0)
        return site_add(r, j, what, e);
    if (strcmp(kind, "start") == 0)
        r->start = j;
    else if (strcmp(kind, "done") == 0)
        r->done = j;
    else if (strcmp(kind, "note") == 0)
        r->note = json_text_or(j, "text", NULL);
    else if (strcmp(kind, "publish") != 0)
        r->other++;
    return 0;
}

static int records_read(struct report *r, struct err *e)
{
    if (!fs_exists(r->journal))
        return err_set(
            e, ERR_USE,
            "there is no '%s': give the folder that ptq run or ptq-write wrote its checkpoint to",
            r->journal);
    if (!(r->records = journal_read(r->journal, &r->cut, e)))
        return -1;
    for (size_t i = 0; i < json_count(r->records); i++) {
        char *what = mem_printf(e, "%s line %zu", r->journal, i + 1);
        int rc = what ? record_add(r, json_at(r->records, i), what, e) : -1;

        free(what);
        if (rc)
            return -1;
    }
    return 0;
}

static int by_order(const void *a, const void *b)
{
    const struct report_site *x = a, *y = b;

    if (x->j.order != y->j.order)
        return x->j.order > y->j.order ? 1 : -1;
    return (x->line > y->line) - (x->line < y->line);
}

/* In order; a site that is there twice (a resumed run) counts as it was last. */
static void sites_sort(struct report *r)
{
    size_t n = 0;

    if (r->nsites)
        qsort(r->site, r->nsites, sizeof *r->site, by_order);
    for (size_t i = 0; i < r->nsites; i++) {
        if (n && r->site[n - 1].j.order == r->site[i].j.order)
            journal_site_release(&r->site[--n].j);
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

/* A file of the run without which the page is a page too: what is wrong with it is said, and it is
 * left out. */
static int extra_read(const struct report *r, const char *name, struct json **out, struct err *e)
{
    char *path = mem_printf(e, "%s/.ptqflow/%s", r->path, name);
    struct err why = {0};

    if (!path)
        return -1;
    if (fs_exists(path) && fs_check_regular(path, &why) == 0 && (*out = json_read(path, &why)) &&
        json_kind(*out) != JSON_KIND_OBJECT) {
        err_set(&why, ERR_USE, "%s: not an object", path);
        json_destroy(out);
    }
    if (why.kind)
        log_warn("left out: %s", why.text);
    free(path);
    return 0;
}

static int failed_read(struct report *r, struct err *e)
{
    char *path = mem_printf(e, "%s/.ptqflow/failed", r->path);
    size_t n;
    int rc = -1;

    if (path && (!fs_exists(path) ||
                 (fs_check_regular(path, e) == 0 && (r->failed = fs_read(path, 1 << 16, &n, e)))))
        rc = 0;
    free(path);
    return rc;
}

struct report *report_open(const char *out, struct err *e)
{
    struct report *r = mem_array(1, sizeof *r, e);

    if (!r)
        return NULL;
    r->path = mem_text(out, e);
    r->journal = mem_printf(e, "%s/.ptqflow/" JOURNAL_NAME, out);
    if (!r->path || !r->journal || records_read(r, e) || extra_read(r, "run.json", &r->run, e) ||
        extra_read(r, "waits.json", &r->waits, e) || failed_read(r, e) ||
        !(r->evals = evals_read(out, e))) {
        report_close(&r);
        return NULL;
    }
    sites_sort(r);
    kinds_sort(r);
    return r;
}

uint64_t report_blocks(const struct report *r)
{
    const size_t each = report_block_sites(r);
    uint64_t most = 0;

    for (size_t i = 0; i < r->nsites; i++)
        most = r->site[i].j.block > most ? r->site[i].j.block : most;
    if (each && r->sites_all / each > most + 1 && r->sites_all % each == 0)
        return r->sites_all / each;
    return r->nsites ? most + 1 : 0;
}

size_t report_block_sites(const struct report *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->nsites; i++)
        n += r->site[i].j.block == r->site[0].j.block;
    return n;
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
    for (size_t i = 0; i < r->nsites; i++)
        journal_site_release(&r->site[i].j);
    free(r->site);
    for (size_t i = 0; i < r->nexperts; i++)
        free(r->experts[i]);
    json_destroy(&r->records);
    json_destroy(&r->run);
    json_destroy(&r->waits);
    json_destroy(&r->evals);
    free(r->failed);
    free(r->problems_why);
    free(r->path);
    free(r->journal);
    free(r);
    *rp = NULL;
    errno = saved;
}
