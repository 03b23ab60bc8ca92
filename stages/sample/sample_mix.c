/* SPDX-License-Identifier: Apache-2.0 */
/* sample_mix - files that are sampled by themselves: the budget is divided by their shares, each
 * group draws its own rows with random numbers of its own, and the rows are interleaved so that
 * every stretch of them holds the groups as the whole does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/mem.h"
#include "sample_impl.h"

/* Tokens that the rows of a group will have. */
static uint64_t tokens_planned(const struct sample *s, const struct file_group *p)
{
    uint64_t sum = 0, i;

    if (!p->length)
        return p->want * s->set[0];
    for (i = 0; i < p->want; i++)
        sum += p->length[i];
    return sum;
}

static int shares_check(const struct sample *s, double *sum, struct err *e)
{
    size_t i;

    for (*sum = 0, i = 0; i < s->o.ndata; i++) {
        if (!(s->o.shares[i] > 0) || !isfinite(s->o.shares[i]))
            return err_set(e, ERR_USE, "--share of '%s' must be above 0", s->o.data[i]);
        *sum += s->o.shares[i];
    }
    return s->o.tokens ? 0 : err_set(e, ERR_USE, "--share needs --tokens");
}

int sample_groups(struct sample *s, struct err *e)
{
    uint64_t left = s->o.tokens, budget;
    size_t n = s->o.shares ? s->o.ndata : 1, i;
    double sum = 1;

    if (s->o.shares && shares_check(s, &sum, e) < 0)
        return -1;
    if (!(s->group = mem_array(n, sizeof *s->group, e)))
        return -1;
    s->ngroups = n;
    for (i = 0; i < n; i++) {
        struct file_group *p = &s->group[i];

        p->file = i;
        p->end = n > 1 ? i + 1 : s->o.ndata;
        p->stream = (uint64_t)i << 32;
        budget = i + 1 == n ? left : (uint64_t)((double)s->o.tokens * (s->o.shares[i] / sum));
        if (budget > left)
            budget = left;
        if (s->o.mode == SAMPLE_WHOLE) {
            p->want = UINT64_MAX;
            p->budget = budget;
            left -= budget;
            continue;
        }
        if (s->o.shares && budget < s->set[s->nset - 1])
            return err_set(e, ERR_USE, "the share of '%s' is %llu tokens, less than a row of %zu",
                           s->o.data[i], (unsigned long long)budget, s->set[s->nset - 1]);
        if (sample_draw(s, budget, p, e) < 0)
            return -1;
        if (s->o.tokens)
            left -= tokens_planned(s, p);
    }
    return 0;
}

/* The group that is furthest behind when it gives its next row. */
static size_t group_next(const struct sample *s, const struct row *from, const size_t *given,
                         const uint64_t *tokens)
{
    size_t best = SIZE_MAX, i;
    double least = 0;

    for (i = 0; i < s->ngroups; i++) {
        const struct file_group *p = &s->group[i];
        double at;

        if (given[i] == p->want)
            continue;
        at = ((double)tokens[i] + 0.5 * (double)from[p->first + given[i]].length) /
             (double)p->tokens;
        if (best != SIZE_MAX && at >= least)
            continue;
        best = i;
        least = at;
    }
    return best;
}

int sample_interleave(struct sample *s, struct err *e)
{
    size_t *given = mem_array(s->ngroups, sizeof *given, e), i, k;
    uint64_t *tokens = given ? mem_array(s->ngroups, sizeof *tokens, e) : NULL, at = 0;
    struct row *from = tokens ? mem_array(s->nrow, sizeof *from, e) : NULL;

    if (from) {
        memcpy(from, s->row, s->nrow * sizeof *from);
        for (i = 0; i < s->ngroups; i++)
            for (k = 0; k < s->group[i].want; k++)
                s->group[i].tokens += from[s->group[i].first + k].length;
    }
    for (i = 0; from && i < s->nrow; i++) {
        k = group_next(s, from, given, tokens);
        s->row[i] = from[s->group[k].first + given[k]++];
        s->row[i].at = at;
        tokens[k] += s->row[i].length;
        at += s->row[i].length;
    }
    free(given);
    free(tokens);
    i = from != NULL;
    free(from);
    return i ? 0 : -1;
}
