/* SPDX-License-Identifier: Apache-2.0 */
/* op_rope - the heads of a row, or a part of each, rotated by its position (rope.h), in
 * place. */
#include "op.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const struct program_slot *s = &p->slot[o->out];

    if (o->in[0] != o->out || s->route >= 0 || o->rope.spec.width % 2 != 0 || o->rope.heads == 0 ||
        s->width % o->rope.heads != 0 || o->rope.first > s->width / o->rope.heads ||
        o->rope.spec.width > s->width / o->rope.heads - o->rope.first ||
        (o->rope.spec.axes && (o->rope.spec.width > ROPE_AXES_WIDTH || o->rope.spec.pairs)))
        return err_set(e, ERR_USE, "%zu heads of %zu in rows of %zu, from number %zu on",
                       o->rope.heads, o->rope.spec.width, s->width, o->rope.first);
    return 0;
}

/* The heads x of row t of those at hand. */
static void turn(const struct op_args *a, size_t t, float *x)
{
    const struct rows_seen *seen = a->op->rope.spec.axes ? a->rows->seen : NULL;
    const size_t heads = a->op->rope.heads, distance = a->width_out / heads;

    if (seen && seen->axis)
        rope_apply_axes(a->rope, seen->reach, seen->axis + 3 * (a->first + t), heads, distance, x);
    else
        rope_apply(a->rope, a->length[a->first + t], a->position[a->first + t], heads, distance, x);
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    for (size_t t = first; t < first + count; t++)
        turn(a, t, a->out + t * a->width_out + a->op->rope.first);
}

/* Numbers that turn together turn back as their mirror image turns: the second of each changes
 * its sign before and after. */
static void mirror(const struct rope_spec *s, float *x)
{
    const size_t half = s->width / 2;

    for (size_t i = 0; i < half; i++) {
        float *second = s->pairs ? x + 2 * i + 1 : x + half + i;

        *second = -*second;
    }
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const struct op_args *a = &b->a;
    const size_t heads = a->op->rope.heads, distance = a->width_out / heads;

    (void)sum;
    for (size_t t = first; t < first + count; t++) {
        float *g = b->grad + t * a->width_out + a->op->rope.first;

        for (size_t h = 0; h < heads; h++)
            mirror(&a->op->rope.spec, g + h * distance);
        turn(a, t, g);
        for (size_t h = 0; h < heads; h++)
            mirror(&a->op->rope.spec, g + h * distance);
    }
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_rope = {.name = "rope",
                                .inputs = 1,
                                .local = 1,
                                .check = check,
                                .each = each,
                                .back = back,
                                .flops = 3,
                                .moved = 2};
