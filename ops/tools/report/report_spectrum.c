/* SPDX-License-Identifier: Apache-2.0 */
/* report_spectrum - the diagonals by sequence length of a recorded stream of problems
 * (ptq-reduce --record --length-diagonals), as figure 1 of MaCa (arXiv 2602.07465) looks at
 * them. Of a problem only its counts and its tensor "diag" are kept. */
#include "report_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "../../../common/wire/link.h"
#include "../../../common/wire/msg_problem.h"

#define LARGE 10.0 /* times the median */

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x < y) - (x > y);
}

static size_t top_count(size_t K)
{
    return K < 100 ? 1 : K / 100;
}

int report_measure(struct report_class *c, const double *sums, size_t K, struct err *e)
{
    double all = 0, top = 0;
    size_t above = 0;

    if (!(c->sorted = mem_array(K, sizeof *c->sorted, e)))
        return -1;
    for (size_t k = 0; k < K; k++) {
        if (!(sums[k] >= 0) || !isfinite(sums[k])) {
            free(c->sorted);
            c->sorted = NULL;
            return err_set(e, ERR_USE,
                           "tensor 'diag': channel %zu of length %llu is not a number from 0 up", k,
                           (unsigned long long)c->length);
        }
        c->sorted[k] = c->tokens > 0 ? sums[k] / c->tokens : 0;
        all += c->sorted[k];
    }
    qsort(c->sorted, K, sizeof *c->sorted, descending);
    c->largest = c->sorted[0];
    c->median = K % 2 ? c->sorted[K / 2] : (c->sorted[K / 2 - 1] + c->sorted[K / 2]) / 2;
    c->mean = all / (double)K;
    for (size_t k = 0; k < K; k++) {
        above += c->sorted[k] > LARGE * c->median;
        top += k < top_count(K) ? c->sorted[k] : 0;
    }
    c->above = (double)above / (double)K;
    c->top = all > 0 ? top / all : 0;
    return 0;
}

/* How many of the largest channels of one row of sums are at least as large as the last of the
 * largest of the other's. */
static double overlap(const double *row, const double *other, size_t K, double *scratch)
{
    size_t n = top_count(K), both = 0;
    double least, least_other;

    memcpy(scratch, row, K * sizeof *row);
    qsort(scratch, K, sizeof *row, descending);
    least = scratch[n - 1];
    memcpy(scratch, other, K * sizeof *row);
    qsort(scratch, K, sizeof *row, descending);
    least_other = scratch[n - 1];
    for (size_t k = 0; k < K; k++)
        both += row[k] >= least && other[k] >= least_other;
    return (double)(both < n ? both : n) / (double)n;
}

static int classes_fill(struct report_spectrum *s, const struct problem_view *v, const double *diag,
                        double *scratch, struct err *e)
{
    double *all = scratch + s->K;

    for (size_t i = 0; i < s->count; i++) {
        const struct json *row = json_at(v->lengths, i);
        struct report_class *c = &s->class[i];
        int64_t length = 0, sequences = 0;

        if (json_as_int(json_at(row, 0), &length) || json_as_int(json_at(row, 1), &sequences) ||
            json_as_real(json_at(row, 2), &c->weight))
            return err_set(e, ERR_USE, "field 'lengths' is not a table of numbers");
        c->length = (uint64_t)length;
        c->sequences = (uint64_t)sequences;
        c->tokens = (double)length * (double)sequences;
        if (report_measure(c, diag + i * s->K, s->K, e))
            return -1;
    }
    for (size_t k = 0; k < s->K; k++) {
        all[k] = 0;
        for (size_t i = 0; i < s->count; i++)
            all[k] += diag[i * s->K + k];
    }
    for (size_t i = 0; i < s->count; i++)
        s->class[i].overlap = overlap(diag + i * s->K, all, s->K, scratch);
    return 0;
}

static int values_of(const struct tensor *t, double **out, struct err *e)
{
    size_t n = tensor_elements(t);

    if (!(*out = mem_array(n ? n : 1, sizeof **out, e)))
        return -1;
    for (size_t i = 0; i < n; i++)
        (*out)[i] =
            t->dtype == DT_F32 ? (double)((const float *)t->data)[i] : ((const double *)t->data)[i];
    return 0;
}

static int spectrum_add(struct report *r, const struct problem_view *v, size_t kind, int drawn,
                        struct err *e)
{
    struct report_spectrum *s, *grown = realloc(r->spectrum, (r->nspectra + 1) * sizeof *grown);
    double *diag = NULL, *scratch = NULL;
    int rc = -1;

    if (!grown)
        return err_sys(e, "spectra");
    r->spectrum = grown;
    s = &grown[r->nspectra];
    *s = (struct report_spectrum){
        .block = v->block, .kind = kind, .K = v->K, .count = json_count(v->lengths)};
    if (!(s->class = mem_array(s->count, sizeof *s->class, e)))
        return -1;
    r->nspectra++;
    if (values_of(v->diag, &diag, e) == 0 && (scratch = mem_array(2 * s->K, sizeof *scratch, e)))
        rc = classes_fill(s, v, diag, scratch, e);
    for (size_t i = 0; i < s->count && !drawn; i++) {
        free(s->class[i].sorted);
        s->class[i].sorted = NULL;
    }
    free(diag);
    free(scratch);
    return rc;
}

/* Problems and journal must be of one run: the journal tells by the name of the run, where it
 * has one. */
static int run_check(const struct report *r, const struct msg *m, struct err *e)
{
    for (size_t i = 0; i < json_count(r->records); i++) {
        const char *run = json_as_text(json_get(json_at(r->records, i), "run"));

        if (run && *run && *m->run && strcmp(run, m->run) != 0)
            return err_set(
                e, ERR_USE,
                "%s is of run %s, '%s' of run %s: give the stream that this run recorded", m->id,
                m->run, r->journal, run);
    }
    return 0;
}

static int problem_add(struct report *r, const struct msg *m,
                       int (*drawn)(const void *ctx, uint64_t block), const void *ctx,
                       struct err *e)
{
    struct problem_view v;
    size_t kind;

    if (problem_read(m, &v, e) || run_check(r, m, e))
        return -1;
    r->nproblems++;
    kind = report_kind(r, v.site);
    /* a site that is not solved yet, one of the many of experts, or no diagonals */
    if (kind == r->nkinds || strchr(r->kind[kind], '*') || !v.diag || !json_count(v.lengths))
        return 0;
    return spectrum_add(r, &v, kind, drawn(ctx, v.block), e) ? err_prefix(e, "%s", m->id) : 0;
}

int report_problems(struct report *r, const char *file,
                    int (*drawn)(const void *ctx, uint64_t block), const void *ctx, struct err *e)
{
    struct link *in = link_open(file, LINK_IN, &(struct link_opts){.name = "report"}, e);
    struct err why = {0};
    struct msg *m = NULL;
    int rc = -1, got;

    r->problems = file;
    if (!in)
        return -1;
    while ((got = link_recv(in, &m, -1, &why)) == 1) {
        rc = problem_add(r, m, drawn, ctx, e);
        msg_destroy(&m);
        if (rc)
            goto out;
    }
    rc = 0;
    if (got < 0 && why.kind == ERR_DATA && !(r->problems_why = mem_text(why.text, e)))
        rc = -1;
    else if (got < 0 && why.kind != ERR_DATA)
        rc = err_set(e, why.kind, "%s", why.text);
    else if (got == 2)
        rc = err_set(e, ERR_DATA, "told to stop while reading '%s'", file);
out:
    link_close(&in);
    return rc;
}
