/* SPDX-License-Identifier: Apache-2.0 */
/* format_fp8 - checkpoints of quant_method fp8, as DeepSeek V3 and many after it are published:
 *   P.weight F8_E4M3 [N,K], P.weight_scale_inv F32 [N/rows, K/columns], rounded up: a weight is its
 *   number times the scale of its block (weight_block_size, 128 x 128), whatever "inv" says
 *   without weight_block_size: P.weight_scale [1], for the whole tensor
 * Activations are the engine's affair. It is read only: what is to be served so is written as
 * compressed-tensors, with a scale for each row. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "format_ct.h"

#define METHOD "fp8"

static int claims(const struct json *q)
{
    const char *method = json_as_text(json_get(q, "quant_method"));

    return method && strcmp(method, METHOD) == 0;
}

static int blocks_read(const struct json *q, struct ct_kind *k, const char *what, struct err *e)
{
    const struct json *b = json_get(q, "weight_block_size");
    int64_t rows, columns;

    if (json_kind(b) == JSON_KIND_NULL) {
        k->whole = 1;
        k->group = -1;
        return 0;
    }
    if (json_count(b) != 2 || json_as_int(json_at(b, 0), &rows) < 0 ||
        json_as_int(json_at(b, 1), &columns) < 0 || rows < 1 || columns < 1 || rows > INT32_MAX ||
        columns > INT32_MAX)
        return err_set(e, ERR_USE, "%s: weight_block_size is not [rows, columns]", what);
    k->rows = (size_t)rows;
    k->group = columns;
    k->part = "weight_scale_inv";
    return 0;
}

static void *open_spec(const struct json *q, const char *what, struct err *e)
{
    const char *fmt = json_text_or(q, "fmt", "e4m3");
    struct ct_kind *k = mem_array(1, sizeof *k, e);

    if (!k)
        return NULL;
    k->grid = grid_find("fp8");
    k->bits = 8;
    if (strcmp(fmt, "e4m3") == 0 && blocks_read(q, k, what, e) == 0)
        return k;
    if (strcmp(fmt, "e4m3") != 0)
        err_set(e, ERR_USE, "%s: fmt '%.64s' is not supported (known: e4m3)", what, fmt);
    free(k);
    return NULL;
}

static void close_spec(void **spec)
{
    free(*spec);
    *spec = NULL;
}

static int find(const void *spec, const struct format_source *s, const char *name, size_t N,
                size_t K, struct err *e)
{
    return ct_float_find(spec, s, name, N, K, e);
}

static int read_codes(const void *spec, const struct format_source *s, const char *name, size_t N,
                      size_t K, struct packed *p, struct err *e)
{
    return ct_float_read(spec, s, name, N, K, p, e);
}

/* weight F8_E4M3 [N,K] beside the scales x */
static int look(const struct st_set *set, const struct st_entry *x, struct format_linear *l)
{
    *l = (struct format_linear){.bits = 0};
    snprintf(l->name, sizeof l->name, "%.*s",
             (int)(strlen(x->name) - (sizeof ".weight_scale_inv" - 1)), x->name);
    return ct_float_look(set, x, l);
}

static const struct engine engines[] = {{.name = NULL}};

extern const struct format format_fp8;
const struct format format_fp8 = {
    .name = METHOD,
    .title = "FP8",
    .about = "read only: FP8 with scales for blocks (DeepSeek) or tensors",
    .engines = engines,
    .mark = "weight_scale_inv",
    .claims = claims,
    .open = open_spec,
    .close = close_spec,
    .find = find,
    .read = read_codes,
    .look = look,
};
