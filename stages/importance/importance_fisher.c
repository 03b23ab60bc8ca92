/* SPDX-License-Identifier: Apache-2.0 */
/* importance_fisher - see importance_fisher.h. */
#include "importance_fisher.h"

#include <stdio.h>
#include <stdlib.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/safetensors.h"

struct fisher {
    const struct sites *sites;
    size_t count;
    size_t *first; /* [sites] number of its first linear */
    float **sum;   /* [count] of squares, [rows, inputs] */
};

struct fisher *fisher_open(const struct sites *s, struct err *e)
{
    struct fisher *f = mem_array(1, sizeof *f, e);

    if (!f)
        return NULL;
    f->sites = s;
    if (!(f->first = mem_array(s->count + 1, sizeof *f->first, e)))
        goto fail;
    for (size_t i = 0; i < s->count; i++)
        f->first[i + 1] = f->first[i] + s->site[i].count;
    if (!(f->sum = mem_array(f->first[s->count] + 1, sizeof *f->sum, e)))
        goto fail;
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < s->site[i].count; k++, f->count++)
            if (!(f->sum[f->count] =
                      mem_array(s->site[i].linear[k].rows * s->site[i].inputs, sizeof(float), e)))
                goto fail;
    return f;
fail:
    fisher_close(&f);
    return NULL;
}

void fisher_close(struct fisher **fp)
{
    struct fisher *f = *fp;

    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        free(f->sum[i]);
    free(f->sum);
    free(f->first);
    free(f);
    *fp = NULL;
}

static void weight_name(const struct site *s, size_t k, char name[TENSOR_NAME + 8])
{
    snprintf(name, TENSOR_NAME + 8, "%s.weight", s->linear[k].name);
}

void fisher_add(struct fisher *f, size_t block, const struct block_back *k)
{
    const struct sites *s = f->sites;
    char name[TENSOR_NAME + 8];

    for (size_t i = s->first[block]; i < s->end[block]; i++)
        for (size_t l = 0; l < s->site[i].count; l++) {
            const size_t n = s->site[i].linear[l].rows * s->site[i].inputs;
            float *sum = f->sum[f->first[i] + l];
            const float *g;

            weight_name(&s->site[i], l, name);
            g = block_back_tensor(k, name);
            for (size_t at = 0; g && at < n; at++)
                sum[at] += g[at] * g[at];
        }
}

static int declare(const struct fisher *f, struct st_writer *w, struct err *e)
{
    const struct sites *s = f->sites;
    char name[TENSOR_NAME + 8];

    for (size_t i = 0; i < s->count; i++)
        for (size_t l = 0; l < s->site[i].count; l++) {
            const uint64_t shape[2] = {s->site[i].linear[l].rows, s->site[i].inputs};

            weight_name(&s->site[i], l, name);
            if (st_declare(w, name, DT_F32, 2, shape, e) < 0)
                return -1;
        }
    return st_begin(w, e);
}

static int put(const struct fisher *f, struct st_writer *w, size_t sequences, struct err *e)
{
    const struct sites *s = f->sites;
    char name[TENSOR_NAME + 8];

    for (size_t i = 0; i < s->count; i++)
        for (size_t l = 0; l < s->site[i].count; l++) {
            const size_t n = s->site[i].linear[l].rows * s->site[i].inputs;
            float *sum = f->sum[f->first[i] + l];

            for (size_t at = 0; at < n; at++)
                sum[at] /= (float)sequences;
            weight_name(&s->site[i], l, name);
            if (st_put(w, name, sum, n * sizeof *sum, e) < 0)
                return -1;
        }
    return 0;
}

int fisher_write(const struct fisher *f, const char *path, size_t sequences, struct err *e)
{
    struct st_writer *w = st_create(path, e);
    int rc = w ? declare(f, w, e) : -1;

    if (rc == 0)
        rc = put(f, w, sequences, e);
    if (rc == 0)
        rc = st_publish(&w, e);
    st_abort(&w);
    return rc < 0 ? err_prefix(e, "--fisher") : 0;
}
