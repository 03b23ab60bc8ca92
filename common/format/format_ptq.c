/* SPDX-License-Identifier: Apache-2.0 */
/* format_ptq - this project's own: whatever a solution holds, on any grid, with tables of levels
 * and weights beside the codes, which no other format has a place for. Nothing but these programs
 * reads it; `ptq convert --format dense` makes plain weights of it.
 *
 * Of each linear the tensors of its solution (INTERFACES.md, "solution"), its codes packed: those
 * of a row one behind the other, the lowest bits first, each row from a byte of its own. And
 * NAME.layout I32 [5]: inputs, bits, group, grid, type of the weights in the model, the last two
 * as places in the lists `grids` and `types` of the config. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "engine.h"
#include "grid_affine.h"
#include "packed.h"

#define METHOD "ptqflow"
#define VERSION 1

enum { LAYOUT_INPUTS, LAYOUT_BITS, LAYOUT_GROUP, LAYOUT_GRID, LAYOUT_TYPE, LAYOUT };
enum { GRIDS = 32 };

/* Of weights in models; that of others is not known. */
static const enum dtype types[] = {DT_F16, DT_BF16, DT_F32, DT_F64};
#define TYPES ((int)(sizeof types / sizeof *types))

static size_t row_bytes(size_t K, int bits)
{
    return (K * (size_t)bits + 7) / 8;
}

/* ---- writing ---- */

static int check(const struct format_linear *l, struct err *e)
{
    return l->scale_type == DT_F64
               ? err_set(e, ERR_USE,
                         "'%s': scales of type F64 cannot be stored in the ptq format; solve with "
                         "--scale-type f32",
                         l->name)
               : 0;
}

static int tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                   struct err *e)
{
    const struct grid *g = l->grid;
    int n = 0;

    if (packed_describe(&t[n++], l->name, "layout", DT_I32, LAYOUT, 0, e) ||
        packed_describe(&t[n++], l->name, "codes", DT_U8, l->N, row_bytes(l->K, l->bits), e) ||
        packed_describe(&t[n++], l->name, "scales", l->scale_type, l->N, l->G, e) ||
        (g->zeros && packed_describe(&t[n++], l->name, "zeros", DT_U8, l->N, l->G, e)) ||
        (g->tensor_scale && packed_describe(&t[n++], l->name, "tensor_scale", DT_F32, 1, 0, e)) ||
        (g->table &&
         packed_describe(&t[n++], l->name, "table", DT_F32, l->N, UINT64_C(1) << l->bits, e)) ||
        (l->permuted && packed_describe(&t[n++], l->name, "g_idx", DT_I32, l->K, 0, e)))
        return -1;
    if (l->sparse &&
        (packed_describe(&t[n++], l->name, "sparse_end", DT_I32, l->N, 0, e) ||
         packed_describe(&t[n++], l->name, "sparse_column", DT_I32, l->sparse, 0, e) ||
         packed_describe(&t[n++], l->name, "sparse_value", l->sparse_type, l->sparse, 0, e)))
        return -1;
    return n;
}

static void pack_row(const uint8_t *codes, size_t K, int bits, uint8_t *out)
{
    unsigned have = 0, word = 0;

    for (size_t k = 0; k < K; k++) {
        word |= (unsigned)codes[k] << have;
        for (have += (unsigned)bits; have >= 8; have -= 8, word >>= 8)
            *out++ = (uint8_t)word;
    }
    if (have)
        *out = (uint8_t)word;
}

static void unpack_row(const uint8_t *in, size_t K, int bits, uint8_t *codes)
{
    unsigned have = 0, word = 0;

    for (size_t k = 0; k < K; k++) {
        for (; have < (unsigned)bits; have += 8)
            word |= (unsigned)*in++ << have;
        codes[k] = (uint8_t)(word & ((1u << bits) - 1));
        word >>= bits;
        have -= (unsigned)bits;
    }
}

static int place_of(const struct grid *g)
{
    for (int i = 0; grid_at((size_t)i); i++)
        if (grid_at((size_t)i) == g)
            return i;
    return -1;
}

static int type_of(enum dtype t)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i] == t)
            return i;
    return -1;
}

static int put_codes(const struct format_linear *l, const struct coded *c, format_emit *emit,
                     void *ctx, struct err *e)
{
    const size_t row = row_bytes(l->K, l->bits);
    uint8_t *out = mem_raw(l->N * row, 1, e);
    int rc;

    if (!out)
        return -1;
    for (size_t n = 0; n < l->N; n++)
        pack_row(c->codes + n * l->K, l->K, l->bits, out + n * row);
    rc = packed_put(emit, ctx, l->name, "codes", out, l->N * row, e);
    free(out);
    return rc;
}

static int put_sparse(const struct format_linear *l, const struct sparse *s, format_emit *emit,
                      void *ctx, struct err *e)
{
    return packed_put(emit, ctx, l->name, "sparse_end", s->end, l->N * sizeof *s->end, e) ||
                   packed_put(emit, ctx, l->name, "sparse_column", s->column,
                              s->count * sizeof *s->column, e) ||
                   packed_put(emit, ctx, l->name, "sparse_value", s->value,
                              s->count * dtype_size(s->type), e)
               ? -1
               : 0;
}

static int put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e)
{
    const int32_t layout[LAYOUT] = {(int32_t)l->K, l->bits, (int32_t)l->group, place_of(c->grid),
                                    type_of(l->source_type)};
    const float tensor_scale = (float)c->tensor_scale;
    const size_t groups = l->N * l->G;

    if (packed_put(emit, ctx, l->name, "layout", layout, sizeof layout, e) ||
        put_codes(l, c, emit, ctx, e) ||
        packed_put(emit, ctx, l->name, "scales", c->scales, groups * dtype_size(c->scale_type),
                   e) ||
        (c->grid->zeros && packed_put(emit, ctx, l->name, "zeros", c->zeros, groups, e)) ||
        (c->grid->tensor_scale &&
         packed_put(emit, ctx, l->name, "tensor_scale", &tensor_scale, sizeof tensor_scale, e)) ||
        (c->grid->table && packed_put(emit, ctx, l->name, "table", c->table,
                                      (l->N << l->bits) * sizeof *c->table, e)) ||
        (c->group_of &&
         packed_put(emit, ctx, l->name, "g_idx", c->group_of, l->K * sizeof *c->group_of, e)))
        return -1;
    return c->sparse.count ? put_sparse(l, &c->sparse, emit, ctx, e) : 0;
}

static struct json *config(const struct format_model *m, enum dtype *dtype, struct err *e)
{
    struct json *c = json_new_object(), *grids = json_new_array(), *names = json_new_array();
    int bad = json_set_text(c, "quant_method", METHOD) || json_set_int(c, "version", VERSION);

    (void)m;
    *dtype = DT_COUNT;
    for (size_t i = 0; grid_at(i); i++)
        bad = bad || json_push(grids, json_new_text(grid_at(i)->name));
    for (int i = 0; i < TYPES; i++)
        bad = bad || json_push(names, json_new_text(dtype_name(types[i])));
    bad |= json_set(c, "grids", grids);
    bad |= json_set(c, "types", names);
    if (bad) {
        json_destroy(&c);
        err_set(e, ERR_SYS, "quantization_config: out of memory");
    }
    return c;
}

/* ---- reading ---- */

struct spec {
    size_t ngrids, ntypes;
    const struct grid *grid[GRIDS]; /* NULL: not known here */
    enum dtype type[GRIDS];
};

static int claims(const struct json *q)
{
    const char *method = json_as_text(json_get(q, "quant_method"));

    return method && strcmp(method, METHOD) == 0;
}

static void *open_spec(const struct json *q, const char *what, struct err *e)
{
    const struct json *grids = json_get(q, "grids"), *names = json_get(q, "types");
    struct spec *s = mem_array(1, sizeof *s, e);
    int64_t version;

    if (!s)
        return NULL;
    s->ngrids = json_count(grids);
    s->ntypes = json_count(names);
    if (json_need_int(q, "version", 1, VERSION, &version, what, e) < 0)
        goto fail;
    if (json_kind(grids) != JSON_KIND_ARRAY || s->ngrids > GRIDS ||
        json_kind(names) != JSON_KIND_ARRAY || s->ntypes > GRIDS) {
        err_set(e, ERR_USE, "%s: grids and types must be lists of at most %d names", what, GRIDS);
        goto fail;
    }
    for (size_t i = 0; i < s->ngrids; i++) {
        const char *name = json_as_text(json_at(grids, i));

        s->grid[i] = name ? grid_find(name) : NULL;
    }
    for (size_t i = 0; i < s->ntypes; i++) {
        const char *name = json_as_text(json_at(names, i));

        if (!name || dtype_parse(name, &s->type[i]) < 0)
            s->type[i] = DT_COUNT;
    }
    return s;
fail:
    free(s);
    return NULL;
}

static void close_spec(void **spec)
{
    free(*spec);
    *spec = NULL;
}

struct layout {
    int bits;
    int64_t group;
    const struct grid *grid;
    enum dtype type; /* DT_COUNT: not known */
};

static int layout_read(const struct spec *s, const struct format_source *from, const char *name,
                       size_t K, struct layout *x, struct err *e)
{
    struct tensor t;
    int32_t v[LAYOUT];

    if (packed_part_is(from, name, "layout", DT_I32, 1, (const uint64_t[]){LAYOUT}, e) < 0 ||
        packed_part_load(from, name, "layout", &t, e) < 0)
        return -1;
    memcpy(v, t.data, sizeof v);
    tensor_release(&t);
    if (v[LAYOUT_INPUTS] < 1 || (size_t)v[LAYOUT_INPUTS] != K)
        return err_set(e, ERR_USE, "%s: tensor '%s.layout' says %d inputs, config.json wants %zu",
                       from->dir, name, v[LAYOUT_INPUTS], K);
    if (v[LAYOUT_GRID] < 0 || (size_t)v[LAYOUT_GRID] >= s->ngrids || !s->grid[v[LAYOUT_GRID]])
        return err_set(e, ERR_USE, "%s: tensor '%s.layout': grid number %d is not known", from->dir,
                       name, v[LAYOUT_GRID]);
    *x = (struct layout){.bits = v[LAYOUT_BITS],
                         .group = v[LAYOUT_GROUP],
                         .grid = s->grid[v[LAYOUT_GRID]],
                         .type = DT_COUNT};
    if (v[LAYOUT_TYPE] >= 0 && (size_t)v[LAYOUT_TYPE] < s->ntypes)
        x->type = s->type[v[LAYOUT_TYPE]];
    if (v[LAYOUT_BITS] < 1 || v[LAYOUT_BITS] > 8 || !grid_takes_bits(x->grid, x->bits))
        return err_set(e, ERR_USE, "%s: tensor '%s.layout': grid %s has no codes of %d bits",
                       from->dir, name, x->grid->name, v[LAYOUT_BITS]);
    return x->group == -1 || (x->group > 0 && (size_t)x->group <= K)
               ? 0
               : err_set(e, ERR_USE, "%s: tensor '%s.layout': groups of %lld, of %zu inputs",
                         from->dir, name, (long long)x->group, K);
}

static int find_sparse(const struct format_source *from, const char *name, size_t N, struct err *e)
{
    const struct st_entry *value = packed_part(from, name, "sparse_value");

    if (!value)
        return 0;
    if (value->ndim != 1 || value->shape[0] < 1)
        return err_set(e, ERR_USE, "%s: tensor '%s' must be [n], n at least 1", from->dir,
                       value->name);
    return packed_part_check(from, name, "sparse_value", 1, 1, value->shape, e) ||
                   packed_part_check(from, name, "sparse_column", 0, 1, value->shape, e) ||
                   packed_part_check(from, name, "sparse_end", 0, 1, (const uint64_t[]){N}, e)
               ? -1
               : 0;
}

static int find(const void *spec, const struct format_source *from, const char *name, size_t N,
                size_t K, struct err *e)
{
    struct layout x;
    uint64_t groups[2] = {N, 0};

    if (layout_read(spec, from, name, K, &x, e) < 0)
        return -1;
    groups[1] = grid_groups(K, x.group);
    if (packed_part_is(from, name, "codes", DT_U8, 2, (const uint64_t[]){N, row_bytes(K, x.bits)},
                       e) ||
        packed_part_check(from, name, "scales", 1, 2, groups, e) ||
        (x.grid->zeros && packed_part_is(from, name, "zeros", DT_U8, 2, groups, e)) ||
        (x.grid->tensor_scale &&
         packed_part_is(from, name, "tensor_scale", DT_F32, 1, (const uint64_t[]){1}, e)) ||
        (x.grid->table && packed_part_is(from, name, "table", DT_F32, 2,
                                         (const uint64_t[]){N, UINT64_C(1) << x.bits}, e)) ||
        (packed_part(from, name, "g_idx") &&
         packed_part_check(from, name, "g_idx", 0, 1, (const uint64_t[]){K}, e)))
        return -1;
    return find_sparse(from, name, N, e);
}

/* What a linear is made of, as a solution has it, so that the same is asked of it. */
enum { PART_CODES, PART_SCALES, PART_ZEROS, PART_TENSOR_SCALE, PART_TABLE, PARTS };

static int load_parts(const struct layout *x, const struct format_source *from, const char *name,
                      struct packed *p, struct tensor part[PARTS], struct err *e)
{
    static const char *const sparse[] = {"sparse_end", "sparse_column", "sparse_value"};
    const uint64_t shape[2] = {p->N, p->K};
    struct tensor t;

    if (packed_part_load(from, name, "codes", &t, e) < 0)
        return -1;
    for (size_t n = 0; n < p->N; n++)
        unpack_row((const uint8_t *)t.data + n * row_bytes(p->K, x->bits), p->K, x->bits,
                   p->codes + n * p->K);
    tensor_release(&t);
    if (tensor_borrow(&part[PART_CODES], name, DT_U8, 2, shape, p->codes, e) ||
        packed_part_load(from, name, "scales", &part[PART_SCALES], e) ||
        (x->grid->zeros && packed_part_load(from, name, "zeros", &part[PART_ZEROS], e)) ||
        (x->grid->tensor_scale &&
         packed_part_load(from, name, "tensor_scale", &part[PART_TENSOR_SCALE], e)) ||
        (x->grid->table && packed_part_load(from, name, "table", &part[PART_TABLE], e)) ||
        packed_groups(p, from, name, "g_idx", e))
        return -1;
    for (size_t i = 0; i < 3 && packed_part(from, name, "sparse_value"); i++)
        if (packed_part_load(from, name, sparse[i], &p->sparse_part[i], e) < 0)
            return -1;
    for (size_t i = 0; i < p->N * p->G && x->grid->zeros; i++)
        if (((const uint8_t *)part[PART_ZEROS].data)[i] >> x->bits)
            return err_set(e, ERR_USE, "%s: tensor '%s.zeros' has one that does not fit %d bits",
                           from->dir, name, x->bits);
    return 0;
}

/* NULL where the grid has none. */
static const struct tensor *there(const struct tensor *t)
{
    return t->data ? t : NULL;
}

static int take_parts(const struct layout *x, const char *name, struct packed *p,
                      const struct tensor part[PARTS], struct err *e)
{
    struct tensor groups = {.data = p->group_of};
    const struct solution_linear s = {.name = name,
                                      .N = p->N,
                                      .K = p->K,
                                      .G = p->G,
                                      .bits = x->bits,
                                      .group = x->group,
                                      .codes = &part[PART_CODES],
                                      .scales = &part[PART_SCALES],
                                      .zeros = there(&part[PART_ZEROS]),
                                      .tensor_scale = there(&part[PART_TENSOR_SCALE]),
                                      .table = there(&part[PART_TABLE]),
                                      .g_idx = there(&groups),
                                      .sparse_end = there(&p->sparse_part[0]),
                                      .sparse_column = there(&p->sparse_part[1]),
                                      .sparse_value = there(&p->sparse_part[2])};
    struct coded c;

    for (int i = 0; i < PARTS; i++)
        if (there(&part[i]) && tensor_count_bad(&part[i]))
            return err_set(e, ERR_USE, "tensor '%s' holds NaN or infinite numbers", part[i].name);
    if (there(&p->sparse_part[2]) && tensor_count_bad(&p->sparse_part[2]))
        return err_set(e, ERR_USE, "tensor '%s.sparse_value' holds NaN or infinite numbers", name);
    if (coded_take(x->grid, &s, &c, e) < 0)
        return -1;
    p->scale_type = c.scale_type;
    p->tensor_scale = c.tensor_scale;
    p->weight_type = x->type;
    p->sparse = c.sparse;
    dtype_to_f32(c.scale_type, c.scales, p->N * p->G, p->scales);
    if (p->zeros)
        coded_zeros(&c, p->zeros);
    if (p->table)
        memcpy(p->table, c.table, (p->N << p->bits) * sizeof *p->table);
    return 0;
}

static int read_codes(const void *spec, const struct format_source *from, const char *name,
                      size_t N, size_t K, struct packed *p, struct err *e)
{
    struct tensor part[PARTS] = {{.data = NULL}};
    struct layout x;
    int rc = -1;

    if (layout_read(spec, from, name, K, &x, e) < 0 ||
        (affine_is(x.grid) ? packed_open(p, N, K, x.bits, x.group, e)
                           : packed_open_grid(p, x.grid, N, K, x.bits, x.group, e)) < 0)
        return -1;
    if (load_parts(&x, from, name, p, part, e) == 0) {
        rc = take_parts(&x, name, p, part, e);
        if (rc < 0)
            err_prefix(e, "%s", from->dir);
    }
    for (int i = 0; i < PARTS; i++)
        tensor_release(&part[i]);
    if (rc < 0)
        packed_release(p);
    return rc;
}

static int look(const struct st_set *set, const struct st_entry *x, struct format_linear *l)
{
    const struct format_source from = {"", set};
    const struct st_entry *codes;
    struct tensor t;
    int32_t v[LAYOUT];

    *l = (struct format_linear){.bits = 0};
    snprintf(l->name, sizeof l->name, "%.*s", (int)(strlen(x->name) - (sizeof ".layout" - 1)),
             x->name);
    codes = packed_part(&from, l->name, "codes");
    if (!codes || codes->ndim != 2 || codes->shape[0] < 1 || x->dtype != DT_I32 || x->ndim != 1 ||
        x->shape[0] != LAYOUT || st_load(set, x, &t, NULL) < 0)
        return 0;
    memcpy(v, t.data, sizeof v);
    tensor_release(&t);
    if (v[LAYOUT_INPUTS] < 1 || v[LAYOUT_BITS] < 1 || v[LAYOUT_BITS] > 8 ||
        codes->shape[1] != row_bytes((size_t)v[LAYOUT_INPUTS], v[LAYOUT_BITS]))
        return 0;
    l->N = (size_t)codes->shape[0];
    l->K = (size_t)v[LAYOUT_INPUTS];
    l->bits = v[LAYOUT_BITS];
    l->group = v[LAYOUT_GROUP];
    return 1;
}

static const struct engine engines[] = {{.name = NULL}};

extern const struct format format_ptq;
const struct format format_ptq = {
    .name = "ptq",
    .title = "ptqflow",
    .about = "all that a solution holds, tables and weights beside the codes too; for ptq alone",
    .heads = 1,
    .towers = 1,
    .beside = 1,
    .some_codes = 1,
    .check = check,
    .tensors = tensors,
    .put = put,
    .config = config,
    .engines = engines,
    .mark = "layout",
    .claims = claims,
    .open = open_spec,
    .close = close_spec,
    .find = find,
    .read = read_codes,
    .look = look,
};
