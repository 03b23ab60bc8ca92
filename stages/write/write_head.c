/* SPDX-License-Identifier: Apache-2.0 */
/* write_head - see write_head.h. */
#include "write_head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/mem.h"
#include "../../common/format/packed.h"
#include "../../common/model/family.h"

#define ROWS 64 /* of the head, at a time */

static const struct st_entry *entry_of(const struct plan *p, char name[TENSOR_NAME])
{
    snprintf(name, TENSOR_NAME, "%s.weight", family_of(&p->config)->head);
    return p->config.tied ? NULL : st_find(p->source, name);
}

static int refuse(const char *dir, const struct format *f, int bits, struct err *e)
{
    return err_set(
        e, ERR_USE,
        "--lm-head %d: '%s' has no head of its own (tie_word_embeddings), and engines of "
        "the %s format take embeddings only as they are; --format gguf holds it",
        bits, dir, f->name);
}

int head_check_tied(const struct config *c, const char *dir, const struct format *f, int bits,
                    struct err *e)
{
    return c->tied && f->heads ? refuse(dir, f, bits, e) : 0;
}

int head_check(const struct plan *p, const struct format *f, int bits, struct err *e)
{
    char name[TENSOR_NAME];
    const struct st_entry *x = entry_of(p, name);
    struct format_linear l = {.bits = bits,
                              .group = -1,
                              .G = 1,
                              .scale_type = DT_COUNT,
                              .grid = grid_find("sym"),
                              .head = 1};

    if (!x)
        return refuse(p->dir, f, bits, e);
    if (x->ndim != 2 || !dtype_is_float(x->dtype))
        return err_set(e, ERR_USE, "--lm-head %d: '%s' is no matrix of a float type", bits, name);
    snprintf(l.name, sizeof l.name, "%s", family_of(&p->config)->head);
    l.N = (size_t)x->shape[0];
    l.K = (size_t)x->shape[1];
    return format_check_linear(f, &l, e) < 0 ? err_prefix(e, "--lm-head %d", bits) : 0;
}

/* linear[nlinears], which is filled, counts as the last linear and no more as another matrix; or
 * the last does no more. */
static void put(struct plan *p, int there)
{
    const char *name = p->linear[there ? p->nlinears : p->nlinears - 1].f.name;

    if (!there)
        p->nothers += p->head_other; /* it stands behind them meanwhile */
    p->head_other = 0;
    for (size_t i = 0; there && i < p->nothers; i++)
        if (strcmp(p->other[i], name) == 0) {
            char *head = p->other[i];

            p->other[i] = p->other[--p->nothers];
            p->other[p->nothers] = head;
            p->head_other = 1;
        }
    p->nlinears += there ? 1 : (size_t)-1;
    plan_names(p);
}

int head_begin(struct plan *p, const struct format *f, int bits, struct err *e)
{
    struct format_model m;
    const struct format_linear *first;
    struct plan_linear *l = &p->linear[p->nlinears];
    char name[TENSOR_NAME];
    int64_t group;

    if (head_check(p, f, bits, e) < 0)
        return -1;
    plan_model(p, &m);
    if (!(first = packed_first(&m)))
        return format_check_kept(f, e);
    *l = (struct plan_linear){.source = *entry_of(p, name)};
    group =
        first->group > 0 && l->source.shape[1] % (uint64_t)first->group == 0 ? first->group : -1;
    l->f = (struct format_linear){
        .N = (size_t)l->source.shape[0],
        .K = (size_t)l->source.shape[1],
        .site = p->sites,
        .source_type = l->source.dtype,
        .bits = bits,
        .group = group,
        .grid = grid_find("sym"),
        .scale_type = dtype_size(first->scale_type) == 2 ? first->scale_type : DT_BF16,
        .symmetric = 1,
        .head = 1};
    l->f.G = grid_groups(l->f.K, group);
    snprintf(l->f.name, sizeof l->f.name, "%s", family_of(&p->config)->head);
    put(p, 1);
    return 0;
}

void head_end(struct plan *p)
{
    if (p->nlinears && p->linear[p->nlinears - 1].f.head)
        put(p, 0);
}

/* One row: in each group the largest weight comes to the end of the grid. */
static void row_round(const struct format_linear *l, const float *w, uint8_t *codes, void *scales)
{
    const size_t width = l->K / l->G, size = dtype_size(l->scale_type);
    const double top = (double)((1 << l->bits) - 1), middle = (double)(1 << (l->bits - 1));

    for (size_t g = 0; g < l->G; g++) {
        double most = 0, scale;
        int raised = 0;

        for (size_t k = 0; k < width; k++)
            most = fmax(most, fabs((double)w[g * width + k]));
        scale = most > 0 ? 2 * most / top : 1;
        grid_store_scale(l->scale_type, &scale, &raised);
        dtype_from_f64(l->scale_type, &scale, 1, (char *)scales + g * size);
        for (size_t k = 0; k < width; k++)
            codes[g * width + k] =
                (uint8_t)fmin(fmax(rint((double)w[g * width + k] / scale) + middle, 0), top);
    }
}

int head_codes(const struct plan *p, head_take *take, void *arg, struct err *e)
{
    const struct plan_linear *l = &p->linear[p->nlinears - 1];
    const size_t N = l->f.N, K = l->f.K, size = dtype_size(l->f.scale_type);
    struct coded c = {.grid = l->f.grid,
                      .N = N,
                      .K = K,
                      .G = l->f.G,
                      .bits = l->f.bits,
                      .group = l->f.group,
                      .scale_type = l->f.scale_type,
                      .tensor_scale = 1.0};
    uint8_t *codes = mem_raw(N, K, e);
    char *scales = codes ? mem_raw(N * l->f.G, size, e) : NULL;
    float *rows = scales ? mem_raw(ROWS * K, sizeof *rows, e) : NULL;
    int rc = rows ? 0 : -1;

    for (size_t n = 0, count; rc == 0 && n < N; n += count) {
        count = N - n < ROWS ? N - n : ROWS;
        rc = st_load_finite_f32(p->source, &l->source, n, count, rows, e);
        for (size_t i = 0; rc == 0 && i < count; i++)
            row_round(&l->f, rows + i * K, codes + (n + i) * K, scales + (n + i) * l->f.G * size);
    }
    free(rows);
    c.codes = codes;
    c.scales = scales;
    if (rc == 0)
        rc = take(arg, l, &c, e);
    free(scales);
    free(codes);
    return rc;
}
