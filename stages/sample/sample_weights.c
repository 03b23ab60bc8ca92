/* SPDX-License-Identifier: Apache-2.0 */
/* sample_weights - weights of tokens: 1/L, those of a file, that of the first token of a row,
 * and their product.
 *
 * Those of a file are brought to mean 1 in each row, clipped, and brought to mean 1 again (RSQ,
 * arXiv 2503.01820, scales and clips importance likewise). A row whose weights are all 0, or one
 * of them not a finite number (null in JSON), counts with 1 for each token. A file may also
 * weigh each row in each block of the model; these are brought to mean 1 over the rows of a
 * block, in the same way; and each token at single sites (sample_sites.c), as in all of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/model/weigh.h"
#include "../../common/tensor/safetensors.h"
#include "sample_impl.h"
#include "sample_rows.h"

/* The n weights of a row (of: "row", one: "weight") or of a block; *uniform counts those that
 * had no usable one. */
static int list_normal(const struct sample *s, float *w, size_t n, const char *of, size_t which,
                       const char *one, uint64_t *uniform, struct err *e)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (w[i] < 0)
            return err_set(e, ERR_USE, "%s: %s %zu: %s %zu is below 0", s->o.token_weights, of,
                           which, one, i);
    *uniform += !weigh_normal(w, n, &s->o.clip);
    return 0;
}

/* The array `key` of n numbers, or null, to to[0], to[step], ... */
static int list_read(const struct json *j, const char *key, size_t n, float *to, size_t step,
                     const char *what, struct err *e)
{
    const struct json *list = json_get(j, key);
    size_t i;

    if (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != n)
        return err_set(e, ERR_USE, "%s: \"%s\" must be an array of %zu numbers, one for each %s",
                       what, key, n, step == 1 ? "token of the row" : "block of the model");
    for (i = 0; i < n; i++) {
        const struct json *one = json_at(list, i);
        double v = NAN;

        if (json_kind(one) != JSON_KIND_NULL && json_as_real(one, &v) < 0)
            return err_set(e, ERR_USE, "%s: %s[%zu] is not a number", what, key, i);
        to[i * step] = (float)v;
    }
    return 0;
}

static int room_make(struct sample *s, int tokens, int blocks, struct err *e)
{
    if (tokens && !(s->weight = mem_array(sample_tokens(s), sizeof *s->weight, e)))
        return -1;
    return blocks && !(s->block_weight =
                           mem_array(s->nrow * s->config.layers, sizeof *s->block_weight, e))
               ? -1
               : 0;
}

/* The first row says which of the two there are. */
static int line_read(struct sample *s, size_t row, const char *line, size_t n, const char *what,
                     struct err *e)
{
    const struct row *r = &s->row[row];
    struct json *j = json_parse(line, n, what, e);
    int tokens = json_get(j, "weights") != NULL, blocks = json_get(j, "blocks") != NULL, rc = -1;

    if (!j)
        return -1;
    if (!tokens && !blocks)
        err_set(e, ERR_USE,
                "%s: neither \"weights\" (of the tokens) nor \"blocks\" (of the row in each block)",
                what);
    else if (row && (tokens != (s->weight != NULL) || blocks != (s->block_weight != NULL)))
        err_set(e, ERR_USE, "%s: all rows need the same of \"weights\" and \"blocks\"", what);
    else if ((row || room_make(s, tokens, blocks, e) == 0) &&
             (!tokens || list_read(j, "weights", r->length, s->weight + r->at, 1, what, e) == 0) &&
             (!blocks || list_read(j, "blocks", s->config.layers, s->block_weight + row, s->nrow,
                                   what, e) == 0))
        rc = 0;
    json_destroy(&j);
    return rc;
}

static int lines_read(struct sample *s, struct err *e)
{
    FILE *f = fopen(s->o.token_weights, "rb");
    char *line = NULL, what[512];
    size_t room = 0, row = 0, number = 0;
    ssize_t n;
    int rc = -1;

    if (!f)
        return err_set(e, ERR_USE, "%s: cannot be read", s->o.token_weights);
    while ((n = getline(&line, &room, f)) >= 0) {
        number++;
        if (line[strspn(line, " \t\r\n")] == 0)
            continue;
        snprintf(what, sizeof what, "%s:%zu", s->o.token_weights, number);
        if (row == s->nrow) {
            err_set(e, ERR_USE, "%s: weights of a row beyond the last: there are %zu rows", what,
                    s->nrow);
            goto out;
        }
        if (line_read(s, row++, line, (size_t)n, what, e) < 0)
            goto out;
    }
    if (ferror(f))
        err_sys(e, "%s", s->o.token_weights);
    else if (row < s->nrow)
        err_set(e, ERR_USE, "%s: weights of %zu rows, there are %zu", s->o.token_weights, row,
                s->nrow);
    else
        rc = 0;
out:
    free(line);
    fclose(f);
    return rc;
}

static int tensor_read(struct sample *s, struct err *e)
{
    const uint64_t tokens = sample_tokens(s), rows = s->nrow, blocks = s->config.layers;
    struct st_set *set = st_open(s->o.token_weights, e);
    const struct st_entry *x = set ? st_find(set, "weights") : NULL,
                          *y = set ? st_find(set, "blocks") : NULL;
    int rc = -1;

    if (set && sample_sites_read(s, set, e) < 0)
        goto out;
    if (set && ((!x && !y && !s->nsites) || (x && (x->ndim != 1 || x->shape[0] != tokens))))
        err_set(e, ERR_USE,
                "%s: a tensor \"weights\" [%llu] is needed, one number for each token of the rows, "
                "or one called as a site (b3.attn.qkv)",
                s->o.token_weights, (unsigned long long)tokens);
    else if (set && y && (y->ndim != 2 || y->shape[0] != blocks || y->shape[1] != rows))
        err_set(e, ERR_USE,
                "%s: tensor \"blocks\" must be [%llu, %llu], a number for each block of the model "
                "and each row",
                s->o.token_weights, (unsigned long long)blocks, (unsigned long long)rows);
    else if (set && room_make(s, x != NULL, y != NULL, e) == 0 &&
             (!x || st_load_rows_f32(set, x, 0, tokens, s->weight, e) == 0) &&
             (!y || st_load_rows_f32(set, y, 0, blocks, s->block_weight, e) == 0))
        rc = 0;
out:
    st_close(&set);
    return rc;
}

int sample_weights_read(struct sample *s, struct err *e)
{
    const char *file = s->o.token_weights;
    size_t n = file ? strlen(file) : 0, i;
    int rc;

    if (!file)
        return 0;
    if (fs_check_regular(file, NULL) < 0)
        return err_set(e, ERR_USE, "'%s': token weights are read twice, give the path of a file",
                       file);
    if (fs_check_pointer(file, e) < 0)
        return -1;
    if (hash_file(file, &s->weight_digest, e) < 0) {
        if (e)
            e->kind = ERR_USE;
        return -1;
    }
    if (n > 12 && !strcmp(file + n - 12, ".safetensors"))
        rc = tensor_read(s, e);
    else if (n > 6 && !strcmp(file + n - 6, ".jsonl"))
        rc = lines_read(s, e);
    else
        rc = err_set(e, ERR_USE, "%s: token weights are a .jsonl or a .safetensors file", file);
    for (i = 0; rc == 0 && s->weight && i < s->nrow; i++)
        rc = list_normal(s, s->weight + s->row[i].at, s->row[i].length, "row", i, "weight",
                         &s->audit.weights_uniform, e);
    for (size_t k = 0; k < s->nsites; k++)
        for (i = 0; rc == 0 && i < s->nrow; i++)
            rc = list_normal(s, s->site_weight[k].w + s->row[i].at, s->row[i].length, "row", i,
                             "weight", &s->audit.weights_uniform, e);
    for (i = 0; rc == 0 && s->block_weight && i < s->config.layers; i++)
        rc = list_normal(s, s->block_weight + i * s->nrow, s->nrow, "block", i, "the weight of row",
                         &s->audit.blocks_uniform, e);
    return rc;
}

void sample_block_weights(const struct sample *s, size_t first, size_t rows, float *out)
{
    size_t i;

    for (i = 0; i < s->config.layers; i++)
        memcpy(out + i * rows, s->block_weight + i * s->nrow + first, rows * sizeof *out);
}

int sample_first_weighs(const struct sample *s)
{
    return s->o.first_weight && (*s->o.first_weight < 1 || *s->o.first_weight > 1);
}

void sample_weights_fill(const struct sample *s, const struct row *w, float *out)
{
    float each = s->o.weights == SAMPLE_WEIGHTS_LENGTH ? 1.0f / (float)w->length : 1.0f;
    size_t i;

    for (i = 0; i < w->length; i++)
        out[i] = s->weight ? s->weight[w->at + i] * each : each;
    if (sample_first_weighs(s))
        out[0] *= (float)*s->o.first_weight;
}

int sample_weights_audit(struct sample *s, struct err *e)
{
    float *w = mem_array(s->set[0], sizeof *w, e);
    double sum = 0, squares = 0;
    size_t i, t;

    if (!w)
        return -1;
    for (i = 0; i < s->nrow; i++) {
        sample_weights_fill(s, &s->row[i], w);
        for (t = 0; t < s->row[i].length; t++) {
            sum += (double)w[t];
            squares += (double)w[t] * (double)w[t];
        }
    }
    s->audit.effective = squares > 0 ? sum * sum / squares : 0;
    free(w);
    return 0;
}
