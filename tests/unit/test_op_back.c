/* SPDX-License-Identifier: Apache-2.0 */
/* test_op_back - the product of each kind of operation against differences along random
 * directions, and the same bytes for one and three threads.
 *
 * Tolerance: f is a sum over f32 results; a difference of four points at a distance of 0.02 is off
 * by 1e-7 / 0.02 of their scatter and by the fifth derivative times 1e-7. Any term of a product
 * left out is 100 times further away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/base/rng.h"
#include "../../common/model/op.h"
#include "../../common/tensor/blas.h"
#include "model_run.h"

enum { T = 150, EXPERTS = 8, TOP = 3 };
#define TOLERANCE 2e-3

static const int32_t lengths[] = {1, 130, 19};
static const struct rows rows = {.T = T, .nseq = 3, .lengths = lengths};

/* An operation alone, with all that it reads. */
struct alone {
    struct op op;
    size_t width[OP_INPUTS], width_out, count, count_in[OP_INPUTS], floats; /* of its tensor */
    int routed; /* it reads the groups of a route, which it has as its second input */
    int fading; /* its third input is a logarithm of what is below 1 */
    size_t position[T], length[T];
    struct rope rope;
    struct op_groups groups;
    float *in[OP_INPUTS], *tensor, *weight; /* weight: of each number of the result in f */
};

static float *random_floats(size_t n, struct rng *r)
{
    float *x = run_array(n);

    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(r);
    return x;
}

static void places_fill(struct alone *a)
{
    for (size_t s = 0, t = 0; s < rows.nseq; s++)
        for (size_t i = 0; i < (size_t)lengths[s]; i++, t++) {
            a->position[t] = i;
            a->length[t] = (size_t)lengths[s];
        }
}

static void alone_fill(struct alone *a)
{
    struct err err = {0};
    struct rng r;

    rng_seed(&r, 11, (uint64_t)a->op.kind->name[0]);
    for (size_t k = 0; k < a->op.kind->inputs; k++) {
        if (!a->count_in[k])
            a->count_in[k] = a->count;
        a->in[k] = random_floats(a->count_in[k] * a->width[k], &r);
    }
    if (a->routed) { /* the route is what a router would make */
        memset(a->in[1], 0, T * EXPERTS * sizeof(float));
        for (size_t t = 0; t < T; t++)
            for (size_t n = 0; n < TOP; n++)
                a->in[1][t * EXPERTS + (t * 5 + n * (1 + t % 2)) % EXPERTS] =
                    (float)(0.1 + rng_unit(&r));
        must(op_groups_make(&a->groups, a->in[1], T, EXPERTS, TOP, &err) == 0);
    }
    for (size_t i = 0; a->fading && i < a->count_in[2] * a->width[2]; i++)
        a->in[2][i] = -0.3f * (float)fabs((double)a->in[2][i]) - 0.1f;
    a->tensor = random_floats(a->floats, &r);
    if (a->op.kind == &op_route ||
        a->op.kind == &op_choose) /* no direction changes who is chosen */
        for (size_t i = 0; i < T * EXPERTS; i++)
            a->in[0][i] = 0.5f * (float)((i * 3 + i / EXPERTS) % EXPERTS) - 2;
    for (size_t i = 0; a->op.kind == &op_choose && i < EXPERTS; i++)
        a->tensor[i] = (float)i;
    a->weight = random_floats((a->op.kind == &op_scatter ? T : a->count) * a->width_out, &r);
    places_fill(a);
    if (a->op.kind == &op_rope) {
        const size_t all[] = {1, 130, 19};

        rope_init(&a->rope, &a->op.rope.spec);
        must(rope_reserve(&a->rope, all, 3, &err) == 0);
    }
}

static void alone_release(struct alone *a)
{
    for (size_t k = 0; k < OP_INPUTS; k++)
        free(a->in[k]);
    free(a->tensor);
    free(a->weight);
    op_groups_release(&a->groups);
    rope_release(&a->rope);
}

static struct op_args args_of(const struct alone *a, struct par *par)
{
    struct op_args x = {.op = &a->op,
                        .par = par,
                        .products = &blas_products,
                        .rows = &rows,
                        .position = a->position,
                        .length = a->length,
                        .rope = &a->rope,
                        .groups = &a->groups,
                        .tensor = {a->tensor},
                        .width_out = a->width_out,
                        .count = a->count};

    for (size_t k = 0; k < a->op.kind->inputs; k++) {
        x.width[k] = a->width[k];
        x.in[k] = a->in[k];
    }
    return x;
}

static size_t result_floats(const struct alone *a)
{
    return (a->op.kind == &op_scatter ? T : a->count) * a->width_out;
}

/* f: the sum of the results, each times its weight. A scatter's weights are those of the route. */
static double value_of(struct alone *a, struct par *par)
{
    struct err err = {0};
    struct op_args x = args_of(a, par);
    const size_t n = result_floats(a);
    double sum = 0;

    x.out = run_array(n);
    memset(x.out, 0, n * sizeof(float));
    if (!a->op.adds && a->op.in[0] == a->op.out)
        memcpy(x.out, a->in[0], n * sizeof(float));
    if (a->op.in[0] == a->op.out)
        x.in[0] = x.out;
    for (size_t i = 0, at = 0; a->op.kind == &op_scatter && i < EXPERTS; i++)
        for (; at < a->groups.first[i + 1]; at++)
            a->groups.weight[at] = a->in[1][a->groups.token[at] * EXPERTS + i];
    must(op_run(&x, &err) == 0);
    for (size_t i = 0; i < n; i++)
        sum += (double)x.out[i] * (double)a->weight[i];
    free(x.out);
    return sum;
}

/* The derivative of f along u in x [n], by differences. */
static double slope(struct alone *a, struct par *par, float *x, const float *u, size_t n)
{
    static const double step[4] = {0.02, -0.02, 0.04, -0.04}, times[4] = {8, -8, -1, 1};
    float *own = run_array(n);
    double sum = 0;

    memcpy(own, x, n * sizeof *x);
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < n; i++)
            x[i] = own[i] + (float)step[k] * u[i];
        sum += times[k] * value_of(a, par);
    }
    memcpy(x, own, n * sizeof *x);
    free(own);
    return sum / (12 * 0.02);
}

/* Gradients of all inputs and of the tensor, one behind the other. */
static float *product_of(struct alone *a, struct par *par, size_t *n)
{
    struct err err = {0};
    struct op_back b = {.a = args_of(a, par)};
    float *all, *grad, *at;

    *n = a->floats;
    for (size_t k = 0; k < a->op.kind->inputs; k++)
        *n += a->count_in[k] * a->width[k];
    all = at = run_array(*n);
    memset(all, 0, *n * sizeof *all);
    for (size_t k = 0; k < a->op.kind->inputs; k++) {
        if (!(a->op.kind->keeps >> k & 1))
            b.a.in[k] = NULL;
        b.grad_in[k] = at;
        at += a->count_in[k] * a->width[k];
    }
    b.grad_tensor[0] = a->floats ? at : NULL;
    grad = run_array(result_floats(a));
    memcpy(grad, a->weight, result_floats(a) * sizeof *grad);
    b.grad = grad;
    if (!a->op.adds && a->op.in[0] == a->op.out) {
        memcpy(b.grad_in[0], a->weight, result_floats(a) * sizeof *grad);
        b.grad = b.grad_in[0];
    }
    must(a->op.kind->back(&b, &err) == 0);
    free(grad);
    return all;
}

static void along(struct alone *a, struct par *par, const char *what, float *x, const float *g,
                  size_t n)
{
    struct rng r;
    double want, got = 0, scatter = 0;
    float *u;

    rng_seed(&r, 5, n);
    u = random_floats(n, &r);
    if (x == a->in[1] && a->routed) /* experts that a token does not go to stay so */
        for (size_t i = 0; i < n; i++)
            u[i] = x[i] > 0 ? u[i] : 0;
    want = slope(a, par, x, u, n);
    for (size_t i = 0; i < n; i++) {
        got += (double)g[i] * (double)u[i];
        scatter += (double)g[i] * (double)u[i] * (double)g[i] * (double)u[i];
    }
    if (!(fabs(got - want) <= TOLERANCE * sqrt(scatter)))
        fail_msg("%s, %s: %g along a direction, differences say %g", a->op.kind->name, what, got,
                 want);
    free(u);
}

static void product_is_the_slope(struct alone *a)
{
    struct err err = {0};
    struct par *one = par_open(1, &err), *three = par_open(3, &err);
    size_t n, same;
    float *g, *at, *again;

    a->op.expert = a->op.site = -1;
    alone_fill(a);
    g = at = product_of(a, one, &n);
    again = product_of(a, three, &same);
    assert_memory_equal(g, again, n * sizeof *g);
    for (size_t k = 0; k < a->op.kind->inputs; k++) {
        const size_t floats = a->count_in[k] * a->width[k];

        if ((a->op.kind != &op_gather && a->op.kind != &op_experts_times) || k == 0)
            along(a, one, "input", a->in[k], at, floats);
        at += floats;
    }
    if (a->floats && a->op.kind != &op_choose)
        along(a, one, "tensor", a->tensor, at, a->floats);
    free(g);
    free(again);
    par_close(&one);
    par_close(&three);
    alone_release(a);
}

static void norms(void **state)
{
    (void)state;
    for (size_t kind = NORM_RMS; kind <= NORM_MEAN; kind++)
        for (size_t heads = 1; heads <= 3; heads += 2) {
            struct alone a = {.op = {.kind = &op_norm, .out = heads == 1},
                              .width = {24},
                              .width_out = 24,
                              .count = T,
                              .floats = 24 / heads};

            a.op.norm.heads = heads;
            a.op.norm.spec = (struct norm_spec){(enum norm_kind)kind, 1e-5};
            product_is_the_slope(&a);
        }
}

static void attentions(void **state)
{
    static const struct attention_shape shapes[] = {
        {.heads = 4, .kv_heads = 2, .head_dim = 8},
        {.heads = 2, .kv_heads = 2, .head_dim = 8, .window = 20},
        {.heads = 4, .kv_heads = 1, .head_dim = 8, .window = 140, .scale = 0.2f, .cap = 1.5f},
        {.heads = 4, .kv_heads = 2, .head_dim = 8, .value_dim = 5}};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct attention_shape *s = &shapes[i];
        const size_t q = s->heads * s->head_dim, k = s->kv_heads * s->head_dim,
                     vd = attention_value_dim(s);
        struct alone a = {.op = {.kind = &op_attention, .in = {0, 1, 2}, .out = 3},
                          .width = {q, k, s->kv_heads * vd},
                          .width_out = s->heads * vd,
                          .count = T};

        a.op.attention.shape = *s;
        product_is_the_slope(&a);
        a.op.kind = &op_attention_sinks;
        a.floats = s->heads;
        product_is_the_slope(&a);
    }
}

static void linear_and_bias(void **state)
{
    struct alone linear = {.op = {.kind = &op_linear, .out = 1},
                           .width = {24},
                           .width_out = 40,
                           .count = T,
                           .floats = 24 * 40},
                 bias = {.op = {.kind = &op_bias},
                         .width = {24},
                         .width_out = 24,
                         .count = T,
                         .floats = 24};

    (void)state;
    product_is_the_slope(&linear);
    linear.op.adds = 1;
    product_is_the_slope(&linear);
    product_is_the_slope(&bias);
}

static void ropes(void **state)
{
    (void)state;
    for (int pairs = 0; pairs <= 1; pairs++) {
        struct alone a = {.op = {.kind = &op_rope}, .width = {36}, .width_out = 36, .count = T};

        a.op.rope.heads = 3;
        a.op.rope.first = pairs ? 4 : 0;
        a.op.rope.spec = (struct rope_spec){.type = ROPE_YARN,
                                            .pairs = pairs,
                                            .width = 8,
                                            .theta = 100,
                                            .factor = 4,
                                            .low = 1,
                                            .high = 32,
                                            .scale = 1.2,
                                            .original = 64};
        product_is_the_slope(&a);
    }
}

static void rows_alone(void **state)
{
    struct alone temper = {.op = {.kind = &op_temper}, .width = {24}, .width_out = 24, .count = T};
    struct alone add = {.op = {.kind = &op_add, .out = 1, .adds = 1},
                        .width = {24},
                        .width_out = 24,
                        .count = T},
                 cut = {.op = {.kind = &op_cut, .out = 1},
                        .width = {24},
                        .width_out = 10,
                        .count = T},
                 share = {.op = {.kind = &op_share, .in = {0, 1}},
                          .width = {24, 1},
                          .width_out = 24,
                          .count = T};

    (void)state;
    temper.op.temper.rate = 0.5f;
    temper.op.temper.original = 32;
    product_is_the_slope(&temper);
    add.op.add.scale = 0.3f;
    cut.op.cut.first = 7;
    cut.op.cut.heads = 1;
    product_is_the_slope(&add);
    product_is_the_slope(&cut);
    cut.op.cut.heads = 2;
    product_is_the_slope(&cut);
    product_is_the_slope(&share);
}

static void experts(void **state)
{
    struct alone gather = {.op = {.kind = &op_gather, .in = {0, 1}, .out = 2},
                           .width = {24, EXPERTS},
                           .width_out = 24,
                           .count = T * TOP,
                           .count_in = {T, T},
                           .routed = 1},
                 scatter = {.op = {.kind = &op_scatter, .in = {0, 1}, .out = 2, .adds = 1},
                            .width = {24, EXPERTS},
                            .width_out = 24,
                            .count = T * TOP,
                            .count_in = {T * TOP, T},
                            .routed = 1};

    (void)state;
    product_is_the_slope(&gather);
    product_is_the_slope(&scatter);
}

static void factors(void **state)
{
    struct alone
        times = {.op = {.kind = &op_times},
                 .width = {24},
                 .width_out = 24,
                 .count = T,
                 .floats = 24},
        experts_times = {.op = {.kind = &op_experts_times, .in = {0, 1}},
                         .width = {24, EXPERTS},
                         .width_out = 24,
                         .count = T * TOP,
                         .count_in = {T * TOP, T},
                         .floats = EXPERTS,
                         .routed = 1},
        decay = {.op = {.kind = &op_decay}, .width = {6}, .width_out = 6, .count = T, .floats = 6},
        unit = {.op = {.kind = &op_unit, .out = 1}, .width = {24}, .width_out = 24, .count = T};

    (void)state;
    times.op.times.by = 0.7f;
    times.op.tensor[0].shape[0] = 24;
    product_is_the_slope(&times);
    times.op.tensor[0].shape[0] = times.floats = 1;
    product_is_the_slope(&times);
    product_is_the_slope(&experts_times);
    product_is_the_slope(&decay);
    for (size_t heads = 1; heads <= 3; heads += 2) {
        unit.op.unit.heads = heads;
        unit.op.unit.eps = 1e-5;
        unit.op.out = heads == 1;
        product_is_the_slope(&unit);
    }
}

static void gates_and_activations(void **state)
{
    struct alone swiglu = {
        .op = {.kind = &op_swiglu, .out = 1}, .width = {48}, .width_out = 24, .count = T};

    (void)state;
    swiglu.op.swiglu.alpha = 1.702f;
    swiglu.op.swiglu.limit = 7;
    product_is_the_slope(&swiglu);
    for (int of = 0; of < ACTIVATIONS; of++) {
        struct alone a = {.op = {.kind = &op_activate}, .width = {24}, .width_out = 24, .count = T},
                     gate = {.op = {.kind = &op_gate, .in = {0, 1}},
                             .width = {24, 24},
                             .width_out = 24,
                             .count = T};

        if (of == ACTIVATION_RELU) /* differences over its corner say nothing: test_activation.c */
            continue;
        a.op.gate.activation = gate.op.gate.activation = (enum activation)of;
        product_is_the_slope(&a);
        product_is_the_slope(&gate);
    }
}

/* Beyond the limit a gate, and on either side an up, changes nothing. */
static void clamps_have_no_slope(void **state)
{
    float x[6] = {3, 0.5f, 0.5f, 3, -9, -3}, g[3] = {1, 1, 1}, to[6] = {0};
    struct op swiglu = {.kind = &op_swiglu, .out = 1, .expert = -1};
    struct err err = {0};
    struct par *one = par_open(1, &err);
    struct op_back b = {
        .a = {.op = &swiglu, .par = one, .in = {x}, .width = {6}, .width_out = 3, .count = 1},
        .grad = g,
        .grad_in = {to}};

    (void)state;
    swiglu.swiglu.alpha = 1;
    swiglu.swiglu.limit = 2;
    must(op_swiglu.back(&b, &err) == 0);
    assert_true(to[0] == 0 && to[1] != 0 && to[2] != 0 && to[3] == 0 && to[4] != 0 && to[5] == 0);
    par_close(&one);
}

static void states(void **state)
{
    static const struct delta_shape shapes[] = {{1, 1, 8, 6}, {2, 4, 6, 8}};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct delta_shape *s = &shapes[i];
        struct alone a = {.op = {.kind = &op_delta, .in = {0, 1, 2}, .out = 3},
                          .width = {2 * s->key_heads * s->key_dim + s->value_heads * s->value_dim,
                                    s->value_heads, s->value_heads},
                          .width_out = s->value_heads * s->value_dim,
                          .count = T};

        a.op.delta.shape = *s;
        a.fading = 1;
        product_is_the_slope(&a);
    }
    for (size_t taps = 1; taps <= 4; taps += 3) {
        struct alone a = {.op = {.kind = &op_conv, .out = 1},
                          .width = {12},
                          .width_out = 12,
                          .count = T,
                          .floats = 12 * taps};

        a.op.conv.taps = taps;
        product_is_the_slope(&a);
    }
}

static void concats(void **state)
{
    (void)state;
    for (size_t shared = 0; shared <= 1; shared++) {
        struct alone a = {.op = {.kind = &op_concat, .in = {0, 1}, .out = 2},
                          .width = {24, shared ? 5 : 15},
                          .width_out = 39,
                          .count = T};

        a.op.concat.heads = 3;
        product_is_the_slope(&a);
    }
}

static void routes(void **state)
{
    (void)state;
    for (int normalize = 0; normalize <= 1; normalize++)
        for (size_t k = 0; k < 2; k++) {
            struct alone a = {.op = {.kind = k ? &op_choose : &op_route, .out = 1},
                              .width = {EXPERTS},
                              .width_out = EXPERTS,
                              .count = T,
                              .floats = k ? EXPERTS : 0};

            a.op.route.experts = EXPERTS;
            a.op.route.top = TOP;
            a.op.route.normalize = normalize;
            a.op.route.groups = 2;
            a.op.route.groups_top = 2;
            a.op.route.scale = 1.5f;
            product_is_the_slope(&a);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms),
        cmocka_unit_test(attentions),
        cmocka_unit_test(linear_and_bias),
        cmocka_unit_test(ropes),
        cmocka_unit_test(rows_alone),
        cmocka_unit_test(experts),
        cmocka_unit_test(routes),
        cmocka_unit_test(factors),
        cmocka_unit_test(gates_and_activations),
        cmocka_unit_test(clamps_have_no_slope),
        cmocka_unit_test(states),
        cmocka_unit_test(concats),
    };
    struct err err = {0};

    return blas_start(&err) < 0 ? 111 : cmocka_run_group_tests(tests, NULL, NULL);
}
