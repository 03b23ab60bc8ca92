/* SPDX-License-Identifier: Apache-2.0 */
/* block_back - see block_back.h.
 *
 * A value is what stands in a slot between two operations that write it. Values that a product
 * reads keep their room; one that nobody reads again gives it to the next value of its slot. */
#include "block_back.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "block_parts.h"
#include "block_values.h"

struct block_back {
    struct block *b;
    const struct rows *r;
    size_t to;
    struct block_places places;
    struct op_groups *groups; /* [nslots] */
    struct block_values v;
    float **room; /* [v.count] */
    /* [v.count] of a value that products of bf16 alone read, in place of its room; NULL: of others
     */
    uint16_t **half;
    unsigned char *is_half; /* [v.count] */
    float **grad;           /* [nslots] of the value at hand; NULL: none reached it yet */
    float **tensor;         /* [nops] */
};

static size_t slot_floats(const struct block_back *k, int slot)
{
    const struct program_slot *s = &k->b->p.slot[slot];

    return k->r->T * s->top * s->width;
}

/* ---- rows ---- */

enum { PIECE = 1 << 15 }; /* floats that a thread writes at a time */

struct rows_job {
    float *to;
    const float *from; /* NULL: zeros */
    size_t n;
};

static int write_piece(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct rows_job *j = ctx;
    const size_t at = i * PIECE, n = j->n - at < PIECE ? j->n - at : PIECE;

    (void)worker;
    (void)e;
    if (j->from)
        memcpy(j->to + at, j->from + at, n * sizeof *j->to);
    else
        memset(j->to + at, 0, n * sizeof *j->to);
    return 0;
}

/* Copies, or zeros: as fast as the memory lets all threads. */
static int rows_write(const struct block_back *k, float *to, const float *from, size_t n,
                      struct err *e)
{
    struct rows_job j = {.to = to, .from = from, .n = n};

    return par_for(k->b->m->par, (n + PIECE - 1) / PIECE, write_piece, &j, e);
}

static float *rows_make(size_t n, struct err *e)
{
    return mem_raw(n ? n : 1, sizeof(float), e);
}

/* ---- forward ---- */

static const struct op_groups *groups_of(struct block_back *k, size_t op, struct err *e)
{
    const struct program *p = &k->b->p;
    const int route = block_route(p, &p->op[op]);
    struct op_groups *g = route < 0 ? NULL : &k->groups[route];

    for (size_t i = op; g && !g->token && i-- > 0;)
        if (p->op[i].kind->routes && p->op[i].out == route)
            return op_groups_make(g, k->room[k->v.value[k->v.out[i]].room], k->r->T,
                                  p->op[i].route.experts, p->op[i].route.top, e) == 0
                       ? g
                       : NULL;
    return g;
}

static int args_make(struct block_back *k, size_t i, struct op_args *a, struct err *e)
{
    const struct program *p = &k->b->p;
    const struct op *o = &p->op[i];

    *a = (struct op_args){.op = o,
                          .par = k->b->m->par,
                          .products = &blas_products,
                          .rows = k->r,
                          .position = k->places.position,
                          .length = k->places.length,
                          .exact = k->b->exact,
                          .half = k->b->m->products == PRODUCTS_BF16,
                          .narrow = k->b->narrow[i].w ? &k->b->narrow[i] : NULL,
                          .count = k->r->T * p->slot[o->out].top,
                          .tensor = {k->b->w[i]},
                          .width_out = p->slot[o->out].width};
    if (block_route(p, o) >= 0 && !(a->groups = groups_of(k, i, e)))
        return -1;
    if (o->kind == &op_rope && !(a->rope = block_rope(k->b, o, k->r, k->places.lengths, e)))
        return -1;
    if (o->expert >= 0) {
        a->first = a->groups->first[o->expert];
        a->count = a->groups->first[o->expert + 1] - a->first;
    }
    for (size_t n = 0; n < o->kind->inputs; n++)
        a->width[n] = p->slot[o->in[n]].width;
    return 0;
}

/* Row `first` of what an operation reads. */
static float *row_of(const struct op_args *a, float *x, size_t width)
{
    return x + a->first * width;
}

/* Rows that linears read: from what is kept in bf16, where it is. */
static const uint16_t *half_of(const struct block_back *k, size_t i)
{
    return k->b->p.op[i].kind == &op_linear ? k->half[k->v.in[i][0]] : NULL;
}

/* Beside op i, which has made it, nobody needs a value in f32 that products of bf16 alone read. */
static int run_halved(struct block_back *k, size_t i, struct op_args *a, struct err *e)
{
    const size_t v = k->v.out[i];
    float **room = &k->room[k->v.value[v].room];

    if (!k->is_half[v])
        return op_run(a, e);
    if (!(k->half[v] = mem_raw(slot_floats(k, k->b->p.op[i].out) + 1, sizeof **k->half, e)))
        return -1;
    a->out16 = k->half[v];
    if (op_run(a, e) < 0)
        return -1;
    free(*room);
    *room = NULL;
    return 0;
}

static int run_op(struct block_back *k, size_t i, struct err *e)
{
    const struct op *o = &k->b->p.op[i];
    const size_t v = k->v.out[i], room = k->v.value[v].room, floats = slot_floats(k, o->out);
    const float *stood = NULL;
    struct op_args a;

    if (args_make(k, i, &a, e) < 0)
        return -1;
    if (room == v) {
        const size_t before = k->v.value[v].before;

        if (!(k->room[v] = rows_make(floats, e)))
            return -1;
        if (before != SIZE_MAX && block_values_go_on(o))
            stood = k->room[k->v.value[before].room];
    }
    a.out = row_of(&a, k->room[room], a.width_out);
    if (o->expert < 0) /* all rows are its own */
        a.before = stood;
    else if (stood && rows_write(k, k->room[v], stood, floats, e) < 0)
        return -1;
    if (!(a.in16 = half_of(k, i)))
        for (size_t n = 0; n < o->kind->inputs; n++)
            a.in[n] = o->in[n] == o->out
                          ? a.out
                          : row_of(&a, k->room[k->v.value[k->v.in[i][n]].room], a.width[n]);
    return run_halved(k, i, &a, e);
}

static int run_forward(struct block_back *k, const float *h, float *y, struct err *e)
{
    const size_t floats = slot_floats(k, PROGRAM_STREAM);
    size_t last = 0;

    if (!(k->room[0] = rows_make(floats, e)) || rows_write(k, k->room[0], h, floats, e) < 0)
        return -1;
    for (size_t i = 0; i < k->to; i++) {
        if (!block_has(k->b, i))
            continue;
        if (block_need(k->b, i, e) < 0 || run_op(k, i, e) < 0)
            return -1;
        last = k->b->p.op[i].out == PROGRAM_STREAM ? k->v.out[i] : last;
    }
    return y ? rows_write(k, y, k->room[k->v.value[last].room], floats, e) : 0;
}

static int refuse(const struct block *b, const struct op *o, struct err *e)
{
    return err_set(e, ERR_USE,
                   "block %zu: operation '%s'%s%s has no backward pass: nothing that needs "
                   "gradients can be done with this model",
                   b->index, o->kind->name, o->kind->tensors ? " of " : "",
                   o->kind->tensors ? o->tensor[0].name : "");
}

int block_back_check(const struct block *b, struct err *e)
{
    if (b->p.carry)
        return err_set(e, ERR_USE,
                       "block %zu: what it hands on beside the stream (embeddings, keys and values "
                       "of several blocks) has no backward pass: nothing that needs gradients can "
                       "be done with this model",
                       b->index);
    for (size_t i = 0; i < b->p.nops; i++)
        if (!b->p.op[i].kind->back)
            return refuse(b, &b->p.op[i], e);
    return 0;
}

/* Which values products of bf16 alone read, all rows of them. */
static int halves_of(struct block_back *k, struct err *e)
{
    enum { BY_LINEARS = 1, BY_OTHERS = 2 };
    const struct program *p = &k->b->p;

    if (!(k->half = mem_array(k->v.count, sizeof *k->half, e)) ||
        !(k->is_half = mem_array(k->v.count, 1, e)))
        return -1;
    for (size_t i = 0; i < k->to; i++) {
        const struct op *o = &p->op[i];
        const size_t before = k->v.out[i] == SIZE_MAX ? SIZE_MAX : k->v.value[k->v.out[i]].before;

        if (k->v.out[i] == SIZE_MAX)
            continue;
        for (size_t n = 0; n < o->kind->inputs; n++)
            k->is_half[k->v.in[i][n]] |=
                k->b->narrow[i].w && o->expert < 0 ? BY_LINEARS : BY_OTHERS;
        if (before != SIZE_MAX && block_values_go_on(o))
            k->is_half[before] |= BY_OTHERS;
        if (o->expert >= 0)
            k->is_half[k->v.out[i]] |= BY_OTHERS;
    }
    for (size_t v = 0; v < k->v.count; v++)
        k->is_half[v] = k->is_half[v] == BY_LINEARS;
    return 0;
}

static int values_of(struct block_back *k, struct err *e)
{
    unsigned char *skipped = mem_array(k->b->p.nops, 1, e);
    int rc = -1;

    for (size_t i = 0; skipped && i < k->to; i++)
        skipped[i] = !block_has(k->b, i);
    if (skipped)
        rc = block_values_make(&k->v, &k->b->p, k->to, skipped, e);
    free(skipped);
    return rc;
}

struct block_back *block_back_forward(struct block *b, size_t to, const struct rows *r,
                                      const float *h, float *y, struct err *e)
{
    const struct program *p = &b->p;
    struct block_back *k = block_back_check(b, e) == 0 ? mem_array(1, sizeof *k, e) : NULL;

    if (!k)
        return NULL;
    k->b = b;
    k->r = r;
    k->to = to < p->nops ? to : p->nops;
    if (block_places_make(&k->places, r, NULL, e) == 0 &&
        (k->groups = mem_array(p->nslots, sizeof *k->groups, e)) &&
        (k->room = mem_array(p->nops + 1, sizeof *k->room, e)) &&
        (k->grad = mem_array(p->nslots, sizeof *k->grad, e)) &&
        (k->tensor = mem_array(p->nops, sizeof *k->tensor, e)) && values_of(k, e) == 0 &&
        halves_of(k, e) == 0 && run_forward(k, h, y, e) == 0)
        return k;
    block_back_close(&k);
    return NULL;
}

void block_back_close(struct block_back **kp)
{
    struct block_back *k = *kp;

    if (!k)
        return;
    for (size_t i = 0; i < k->b->p.nslots; i++) {
        if (k->groups)
            op_groups_release(&k->groups[i]);
        if (k->grad)
            free(k->grad[i]);
    }
    for (size_t i = 0; k->room && i < k->v.count; i++)
        free(k->room[i]);
    for (size_t i = 0; k->half && i < k->v.count; i++)
        free(k->half[i]);
    for (size_t i = 0; k->tensor && i < k->b->p.nops; i++)
        free(k->tensor[i]);
    block_places_release(&k->places);
    free(k->groups);
    block_values_release(&k->v);
    free(k->room);
    free(k->half);
    free(k->is_half);
    free(k->grad);
    free(k->tensor);
    free(k);
    *kp = NULL;
}

int block_back_room(const struct config *c, size_t block, size_t T, double *bytes, struct err *e)
{
    struct block_values v = {.count = 0};
    struct program p;
    int rc = family_program(c, block, &p, e);

    if (rc == 0 && (rc = block_values_make(&v, &p, p.nops, NULL, e)) == 0)
        *bytes = sizeof(float) * block_values_floats(&v, &p, T);
    block_values_release(&v);
    program_release(&p);
    return rc;
}

/* ---- reverse ---- */

/* raw: it is written over. */
static float *grad_of(struct block_back *k, int slot, int raw, struct err *e)
{
    const size_t n = slot_floats(k, slot);

    if (!k->grad[slot] && (k->grad[slot] = rows_make(n, e)) && !raw &&
        rows_write(k, k->grad[slot], NULL, n, e) < 0)
        return NULL;
    return k->grad[slot];
}

static int tell(const struct op_back *x, const struct block_back_ask *ask, struct err *e)
{
    char name[TENSOR_NAME];
    const char *full = x->a.op->tensor[0].name;

    snprintf(name, sizeof name, "%.*s", (int)(strlen(full) - strlen(".weight")), full);
    return ask->linear(ask->ctx,
                       &(struct block_back_rows){
                           .name = name,
                           .site = x->a.op->site,
                           .g = x->grad,
                           .count = x->a.count,
                           .N = x->a.width_out,
                           .token = x->a.op->expert >= 0 ? x->a.groups->token + x->a.first : NULL},
                       e);
}

static int reverse_op(struct block_back *k, size_t i, const struct block_back_ask *ask,
                      struct err *e)
{
    const struct op *o = &k->b->p.op[i];
    struct op_back x = {0};

    if (args_make(k, i, &x.a, e) < 0)
        return -1;
    x.grad = row_of(&x.a, k->grad[o->out], x.a.width_out);
    for (size_t n = 0; n < o->kind->inputs; n++) {
        const int fresh = !k->grad[o->in[n]] && o->kind->begins && o->expert < 0;

        if (!grad_of(k, o->in[n], fresh, e))
            return -1;
        x.fresh |= fresh ? 1u << n : 0;
        x.grad_in[n] = row_of(&x.a, k->grad[o->in[n]], x.a.width[n]);
        if (o->kind->keeps >> n & 1 && !(x.a.in16 = half_of(k, i)))
            x.a.in[n] = row_of(&x.a, k->room[k->v.value[k->v.in[i][n]].room], x.a.width[n]);
    }
    if (ask->tensors && o->kind->tensors) {
        const struct op_tensor *t = &o->tensor[0];
        size_t floats = 1;

        for (int d = 0; d < t->ndim; d++)
            floats *= (size_t)t->shape[d];

        /* products write over all of it, the others may add */
        if (!(k->tensor[i] = (o->kind == &op_linear && x.a.count ? mem_raw : mem_array)(
                  floats, sizeof(float), e)))
            return -1;
        x.grad_tensor[0] = k->tensor[i];
    }
    if (o->kind == &op_linear && ask->linear && tell(&x, ask, e) < 0)
        return -1;
    return o->kind->back(&x, e);
}

int block_back_reverse(struct block_back *k, float *g, const struct block_back_ask *ask,
                       struct err *e)
{
    const size_t floats = slot_floats(k, PROGRAM_STREAM);

    if (!grad_of(k, PROGRAM_STREAM, 1, e) ||
        rows_write(k, k->grad[PROGRAM_STREAM], g, floats, e) < 0)
        return -1;
    for (size_t i = k->to; i-- > 0;) {
        const int out = k->b->p.op[i].out;

        if (!block_has(k->b, i) || !k->grad[out])
            continue;
        if (reverse_op(k, i, ask, e) < 0)
            return -1;
        if (k->v.value[k->v.out[i]].room == k->v.out[i]) {
            free(k->room[k->v.out[i]]);
            k->room[k->v.out[i]] = NULL;
        }
        free(k->half[k->v.out[i]]);
        k->half[k->v.out[i]] = NULL;
        if (block_values_begin(&k->v, &k->b->p, i)) {
            free(k->grad[out]);
            k->grad[out] = NULL;
        }
    }
    if (!grad_of(k, PROGRAM_STREAM, 0, e))
        return -1;
    return rows_write(k, g, k->grad[PROGRAM_STREAM], floats, e);
}

const float *block_back_tensor(const struct block_back *k, const char *name)
{
    for (size_t i = 0; i < k->b->p.nops; i++)
        if (k->b->p.op[i].kind->tensors && strcmp(k->b->p.op[i].tensor[0].name, name) == 0)
            return k->tensor[i];
    return NULL;
}

/* Does the operation read what comes from the attention, other than by the stream? */
static int reads_from(const struct op *o, const unsigned char *from)
{
    for (size_t n = 0; n < o->kind->inputs; n++)
        if (o->in[n] != PROGRAM_STREAM && from[o->in[n]])
            return 1;
    return 0;
}

/* Once what comes from the attention is in the stream, the next operation that writes elsewhere
 * begins another sublayer. */
int block_back_sublayer(const struct block *b, size_t *to, struct err *e)
{
    const struct program *p = &b->p;
    unsigned char *from = mem_array(p->nslots, 1, e);
    size_t at = 0;

    if (!from)
        return -1;
    while (at < p->nops && !p->op[at].kind->attends)
        at++;
    if (at < p->nops)
        from[p->op[at].out] = 1;
    for (; at < p->nops; at++) {
        const struct op *o = &p->op[at];

        if (o->out != PROGRAM_STREAM && from[PROGRAM_STREAM])
            break;
        if (reads_from(o, from))
            from[o->out] = 1;
    }
    *to = at;
    at = from[PROGRAM_STREAM];
    free(from);
    return at ? 0
              : err_set(e, ERR_USE, "block %zu has no attention that joins the stream", b->index);
}

int block_back_local(struct block *b, const struct rows *r, const float *f, const float *u,
                     double *loss, const struct block_back_ask *ask, struct err *e)
{
    const size_t n = r->T * b->p.slot[PROGRAM_STREAM].width;
    struct block_back *k = NULL;
    float *full = mem_raw(n ? n : 1, sizeof *full, e), *y = mem_raw(n ? n : 1, sizeof *y, e);
    size_t to;
    int rc = -1;

    if (!full || !y || block_back_sublayer(b, &to, e) < 0 ||
        !(k = block_back_forward(b, to, r, f, full, e)))
        goto out;
    block_back_close(&k);
    if (!(k = block_back_forward(b, to, r, u, y, e)))
        goto out;
    *loss = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] -= full[i];
        *loss += (double)y[i] * (double)y[i];
        y[i] *= 2;
    }
    rc = block_back_reverse(k, y, ask, e);
out:
    block_back_close(&k);
    free(full);
    free(y);
    return rc;
}
