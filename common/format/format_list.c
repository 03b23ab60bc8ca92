/* SPDX-License-Identifier: Apache-2.0 */
/* format_list - the only list of formats: those that are written first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../base/near.h"
#include "format.h"

extern const struct format format_gptq, format_gptq_v2, format_compressed_tensors, format_awq,
    format_gguf, format_dense, format_ptq, format_fp8, format_mxfp4;

static const struct format *const formats[] = {
    &format_gptq, &format_gptq_v2, &format_compressed_tensors,
    &format_awq,  &format_gguf,    &format_dense,
    &format_ptq,  &format_fp8,     &format_mxfp4,
};

#define COUNT (sizeof formats / sizeof *formats)
_Static_assert(COUNT <= FORMATS_MAX, "room for each format once");

const struct format *format_find(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

const struct format *format_at(size_t i)
{
    return i < COUNT ? formats[i] : NULL;
}

const char *const *format_names(void)
{
    static const char *names[COUNT + 1];

    for (size_t i = 0; i < COUNT && formats[i]->put; i++)
        names[i] = formats[i]->name;
    return names;
}

const char *format_choice(size_t i, int *value)
{
    *value = (int)i;
    return i < COUNT && formats[i]->put ? formats[i]->name : NULL;
}

static int unknown(const char *name, struct err *e)
{
    struct near near = near_start(name, strlen(name));
    char known[256];

    for (size_t i = 0; i < COUNT; i++)
        if (formats[i]->put)
            near_try(&near, formats[i]->name);
    return err_set(e, ERR_USE, "format '%s' is not known (%s)%s%s%s", name,
                   grid_name_list(format_names(), NULL, known, sizeof known),
                   near.name ? ": did you mean " : "", near.name ? near.name : "",
                   near.name ? "?" : "");
}

static int add(const char *name, const struct format *at[FORMATS_MAX], size_t *count, struct err *e)
{
    const struct format *f = format_find(name);
    char known[256];

    if (!f)
        return unknown(name, e);
    if (!f->put)
        return err_set(e, ERR_USE, "format '%s' is not written, only read (written are %s)", name,
                       grid_name_list(format_names(), NULL, known, sizeof known));
    for (size_t i = 0; i < *count; i++)
        if (at[i] == f)
            return err_set(e, ERR_USE, "format '%s' is given twice", name);
    at[(*count)++] = f;
    return 0;
}

int format_parse(const char *list, const struct format *at[FORMATS_MAX], size_t *count,
                 struct err *e)
{
    char *copy = mem_text(list, e), *word = copy, *comma;
    int rc = copy ? 0 : -1;

    *count = 0;
    while (rc == 0 && word) {
        if ((comma = strchr(word, ',')))
            *comma++ = '\0';
        rc = add(word, at, count, e);
        word = comma;
    }
    free(copy);
    return rc;
}

const struct format *format_packed(const struct st_set *s, const char *name)
{
    const struct format *marked = NULL;
    char full[TENSOR_NAME + 32];

    for (size_t i = 0; i < COUNT; i++) {
        const struct st_entry *x;
        struct format_linear l;

        if (!formats[i]->mark)
            continue;
        snprintf(full, sizeof full, "%s.%s", name, formats[i]->mark);
        if (!(x = st_find(s, full)))
            continue;
        if (formats[i]->look(s, x, &l))
            return formats[i];
        if (strcmp(formats[i]->mark, "weight") != 0) /* which may be plain */
            marked = marked ? marked : formats[i];
    }
    return marked;
}

const struct format *format_look(const struct st_set *s, const struct st_entry *x,
                                 struct format_linear *l)
{
    const char *dot = strrchr(x->name, '.');

    for (size_t i = 0; dot && i < COUNT; i++)
        if (formats[i]->mark && strcmp(dot + 1, formats[i]->mark) == 0 && formats[i]->look(s, x, l))
            return formats[i];
    return NULL;
}

const struct format *format_look_weight(const struct st_set *s, struct format_linear *l)
{
    const struct format_linear had = *l;
    char full[TENSOR_NAME + 8];
    const struct st_entry *x;
    const struct format *f;

    snprintf(full, sizeof full, "%s.weight", l->name);
    f = (x = st_find(s, full)) ? format_look(s, x, l) : NULL;
    l->site = had.site;
    l->fused = had.fused;
    l->experts = had.experts;
    return f;
}

int format_is_plain(const struct st_set *s, const char *name)
{
    char full[TENSOR_NAME + 8];
    const struct st_entry *x;

    snprintf(full, sizeof full, "%s.weight", name);
    x = st_find(s, full);
    return x && !x->blocks &&
           ((x->dtype != DT_F8_E4M3 && x->dtype != DT_I8) || !format_packed(s, name));
}

static int is_coded(const struct st_set *s, const struct st_entry *x)
{
    static const char *const scales[] = {"_scale", "_scale_inv"};
    char beside[sizeof x->name + 16];

    if (x->dtype != DT_F8_E4M3 && x->dtype != DT_I8)
        return 0;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        snprintf(beside, sizeof beside, "%s%s", x->name, scales[i]);
        if (st_find(s, beside))
            return 1;
    }
    return 0;
}

int format_check_float(const struct st_set *s, const struct st_entry *x, const char *unread,
                       struct err *e)
{
    if (is_coded(s, x))
        return err_set(e, ERR_USE,
                       "%s: tensor '%s' is quantized already, to %s with scales beside it, and %s",
                       s->paths[x->shard], x->name, dtype_name(x->dtype), unread);
    if (!dtype_is_float(x->dtype))
        return err_set(e, ERR_USE, "%s: tensor '%s' has type %s, a float type is needed",
                       s->paths[x->shard], x->name, dtype_name(x->dtype));
    return 0;
}

int format_check_kept(const struct format *f, struct err *e)
{
    return f->some_codes ? err_set(e, ERR_USE,
                                   "every linear is skipped: there is nothing for the %s format to "
                                   "hold; skip less, or say --format dense",
                                   f->name)
                         : 0;
}

int format_check_tower(const struct format *f, struct err *e)
{
    return f->towers ? 0
                     : err_set(e, ERR_USE,
                               "--vision quantize: what reads the %s format looks for codes in "
                               "the blocks of the decoder alone: say --format compressed-tensors "
                               "or dense",
                               f->name);
}

int format_beside(const struct format *f, const struct format_linear *l,
                  const struct format_linear *x, struct err *e)
{
    if (f->one_scale_type && l->scale_type != x->scale_type && l->scale_type != DT_COUNT &&
        x->scale_type != DT_COUNT)
        return err_set(
            e, ERR_USE, "'%s' has scales of type %s, '%s' of %s: the %s format stores one type",
            l->name, dtype_name(l->scale_type), x->name, dtype_name(x->scale_type), f->name);
    if (f->one_group && l->group != x->group && l->group && x->group)
        return err_set(e, ERR_USE,
                       "'%s' has group %lld, '%s' %lld: the %s format stores one size of groups",
                       l->name, (long long)l->group, x->name, (long long)x->group, f->name);
    return 0;
}

int format_check_linear(const struct format *f, const struct format_linear *l, struct err *e)
{
    if (l->sparse && !f->beside)
        return err_set(e, ERR_USE,
                       "'%s': the %s format has no place for weights beside the codes; ptq and "
                       "dense hold them",
                       l->name, f->name);
    return f->check(l, e);
}

int format_bytes(const struct format *f, const struct format_linear *l, uint64_t *bytes,
                 struct err *e)
{
    struct format_tensor t[FORMAT_TENSORS];
    const int n = f->tensors(l, t, e);
    size_t elements, one;

    *bytes = 0;
    for (int i = 0; i < n; i++) {
        if (tensor_measure(t[i].dtype, t[i].ndim, t[i].shape, t[i].name, &elements, &one, e))
            return -1;
        *bytes += one;
    }
    return n < 0 ? -1 : 0;
}

double format_bits(const struct format_linear *l)
{
    return (double)l->N * (double)l->K * l->bits +
           (double)l->N * (double)l->G * (double)(8 * dtype_size(l->scale_type) + (size_t)l->bits) +
           (l->grid && l->grid->table ? (double)(l->N << l->bits) * 8 * sizeof(float) : 0) +
           (double)l->sparse * 8 * (double)(sizeof(int32_t) + dtype_size(l->source_type));
}
