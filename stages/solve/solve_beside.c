/* SPDX-License-Identifier: Apache-2.0 */
/* solve_beside - see solve_beside.h. */
#include "solve_beside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"

size_t beside_count(double share, size_t n)
{
    return (size_t)llround(share * (double)n);
}

/* Numbers of f32 that are not below 0 are in the order of their bits. */
static uint32_t bits_of(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return u & 0x7fffffff;
}

/* Of the scores whose upper half is `upper` (any, when half is 0), how many have each value of the
 * other half. */
static void histogram(const float *score, size_t n, const uint8_t *mark, int half, uint32_t upper,
                      size_t *count)
{
    memset(count, 0, sizeof *count << 16);
    for (size_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(score[i]);

        if (!mark[i] && (!half || u >> 16 == upper))
            count[half ? u & 0xffff : u >> 16]++;
    }
}

/* The value at which, counted from above, `left` is reached; left: how many of it are taken. */
static uint32_t reach(const size_t *count, size_t *left)
{
    uint32_t at = 0xffff;

    while (at > 0 && count[at] < *left)
        *left -= count[at--];
    return at;
}

int beside_mark(const float *score, size_t n, size_t count, uint8_t *mark, struct err *e)
{
    size_t *of = mem_raw(1 << 16, sizeof *of, e), left = count;
    uint32_t upper, last;

    if (!of)
        return -1;
    histogram(score, n, mark, 0, 0, of);
    upper = reach(of, &left);
    histogram(score, n, mark, 1, upper, of);
    last = upper << 16 | reach(of, &left);
    free(of);
    for (size_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(score[i]);

        if (mark[i] || u < last || (u == last && left == 0))
            continue;
        left -= u == last;
        mark[i] = 1;
    }
    return 0;
}

float *beside_sizes(const struct solve_job *j, struct err *e)
{
    const size_t n = j->N * j->K;
    float *size = mem_raw(n, sizeof *size, e);

    if (!size || dtype_to_f32(j->w_type, j->W, n, size) < 0) {
        free(size);
        if (size)
            err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name,
                    dtype_name(j->w_type));
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        size[i] = fabsf(size[i]);
    return size;
}

static void *part_alloc(struct tensor *t, const char *name, const char *part, enum dtype type,
                        uint64_t n, struct err *e)
{
    char full[TENSOR_NAME];

    if (snprintf(full, sizeof full, "%s.%s", name, part) >= (int)sizeof full) {
        err_set(e, ERR_USE, "tensor name '%s' is too long", name);
        return NULL;
    }
    return tensor_alloc(t, full, type, 1, &n, e) ? NULL : t->data;
}

int beside_take(struct solve_job *j, const uint8_t *mark, struct err *e)
{
    const size_t n = j->N * j->K, size = dtype_size(j->w_type);
    struct tensor *out = j->beside;
    int32_t *end, *column;
    size_t count = 0, at = 0;
    char *value;

    for (size_t i = 0; i < n; i++)
        count += mark[i];
    if (!count)
        return 0;
    if (count > INT32_MAX)
        return err_set(e, ERR_USE, "'%s': %zu weights beside the codes are too many: at most %d",
                       j->name, count, INT32_MAX);
    if (!(end = part_alloc(&out[0], j->name, "sparse_end", DT_I32, j->N, e)) ||
        !(column = part_alloc(&out[1], j->name, "sparse_column", DT_I32, count, e)) ||
        !(value = part_alloc(&out[2], j->name, "sparse_value", j->w_type, count, e)))
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (mark[i]) {
            column[at] = (int32_t)(i % j->K);
            memcpy(value + at++ * size, (const char *)j->W + i * size, size);
        }
        if ((i + 1) % j->K == 0)
            end[i / j->K] = (int32_t)at;
    }
    j->apart = beside_of(out);
    return 0;
}

struct sparse beside_of(const struct tensor part[3])
{
    return part[2].data ? (struct sparse){.count = (size_t)part[2].shape[0],
                                          .end = part[0].data,
                                          .column = part[1].data,
                                          .value = part[2].data,
                                          .type = part[2].dtype}
                        : (struct sparse){.count = 0};
}

int beside_check(const struct solve_opts *o, const char *solver, struct err *e)
{
    const struct solver *s = solver_find(solver),
                        *inner = strchr(solver, '+') ? solver_find(strchr(solver, '+') + 1) : NULL;
    const int chooses = (s->needs & SOLVER_NEEDS_FISHER) != 0;

    if (inner && (inner->beside || (inner->needs & SOLVER_MAKES_TABLE)))
        return err_set(e, ERR_USE, "'%s': %s takes the weights as they are, not as %s shifts them",
                       solver, inner->name, s->name);
    if (!s->beside)
        return 0;
    if (!o->fisher && (chooses || o->sensitive > 0))
        return err_set(e, ERR_USE,
                       "%s%s needs --fisher FILE, which ptq-importance --fisher FILE writes",
                       chooses ? "solver " : "--sensitive", chooses ? solver : "");
    return o->refine ? err_set(e, ERR_USE, "--refine means nothing to solver %s", solver) : 0;
}
