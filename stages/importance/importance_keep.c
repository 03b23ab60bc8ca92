/* SPDX-License-Identifier: Apache-2.0 */
/* importance_keep - see importance_keep.h. */
#include "importance_keep.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/safetensors.h"

/* The head is told in parts. */
static struct importance_raw *raw_of(struct importance_held *h, const char *name, struct err *e)
{
    struct importance_raw *x;

    for (size_t i = h->nraw; i-- > 0;)
        if (strcmp(h->raw[i].name, name) == 0)
            return &h->raw[i];
    if (mem_grow((void **)&h->raw, &h->raw_cap, h->nraw + 1, sizeof *h->raw, e) < 0)
        return NULL;
    x = &h->raw[h->nraw];
    *x = (struct importance_raw){.name = mem_text(name, e), .g = mem_array(h->T, sizeof *x->g, e)};
    if (!x->name || !x->g) {
        free(x->name);
        free(x->g);
        return NULL;
    }
    h->nraw++;
    return x;
}

int keep_add(struct importance_held *h, const struct block_back_rows *x, const float *sum,
             struct err *e)
{
    struct importance_raw *r = raw_of(h, x->name, e);

    for (size_t i = 0; r && i < x->count; i++)
        r->g[x->token ? x->token[i] : i] = (float)((double)sum[i] / (double)x->N);
    return r ? 0 : -1;
}

static int put_linear(struct st_writer *w, struct importance_held *const *held, size_t n, size_t i,
                      struct err *e)
{
    const char *name = held[0]->raw[i].name;
    uint64_t at = 0;

    for (size_t c = 0; c < n; c++) {
        const struct importance_raw *r = raw_of(held[c], name, e);
        const size_t bytes = held[c]->T * sizeof *r->g;

        if (!r || st_put_part(w, name, at, r->g, bytes, e) < 0)
            return -1;
        at += bytes;
    }
    return 0;
}

static int declare(struct st_writer *w, struct importance_held *const *held, size_t n,
                   struct err *e)
{
    uint64_t T = 0;

    for (size_t c = 0; c < n; c++)
        T += held[c]->T;
    for (size_t i = 0; n && i < held[0]->nraw; i++)
        if (st_declare(w, held[0]->raw[i].name, DT_F32, 1, &T, e) < 0)
            return -1;
    return st_declare(w, "loss", DT_F32, 1, (const uint64_t[]){1}, e) < 0 ? -1 : st_begin(w, e);
}

/* All chunks were told of the same linears. */
int keep_write(const char *path, struct importance_held *const *held, size_t n, double loss,
               struct err *e)
{
    struct st_writer *w = st_create(path, e);
    const float value = (float)loss;
    int rc = w ? declare(w, held, n, e) : -1;

    for (size_t i = 0; rc == 0 && n && i < held[0]->nraw; i++)
        rc = put_linear(w, held, n, i, e);
    if (rc == 0)
        rc = st_put(w, "loss", &value, sizeof value, e);
    if (rc == 0)
        rc = st_publish(&w, e);
    st_abort(&w);
    return rc < 0 ? err_prefix(e, "--keep") : 0;
}
