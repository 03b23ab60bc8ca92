/* SPDX-License-Identifier: Apache-2.0 */
/* test_slide_window - windows of rounded blocks against torch autograd in f64 (PTQ_SHARED): what
 * comes out, the codes, the loss and all gradients; the same bytes for any number of threads; and
 * steps downhill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/base/rng.h"
#include "../../common/tensor/blas.h"
#include "../../stages/slide/slide_window.h"
#include "grad_run.h"
#include "shared.h"

#define OWN "tests/golden/conformance/qwen3"

static const char *const goldens[] = {"qwen3",  "qwen2",  "llama3", "olmo2",
                                      "gemma2", "gemma3", "phi3",   "qwen3_moe"};
enum { GOLDENS = sizeof goldens / sizeof goldens[0], BLOCKS = 2 };

struct variant {
    const char *name;
    struct slide_shape shape;
    double clip;
};
static const struct variant variants[] = {
    {"2ch", {.bits = 2, .group = -1}, 1},
    {"4g16", {.bits = 4, .group = 16}, 1},
    {"3clip", {.bits = 3, .group = -1, .clips = 1}, 0.75},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

struct run {
    struct par *par;
    struct model *m;
    struct st_set *g;
    struct slide_shape shape;
    struct slide_block *block[BLOCKS];
    struct slide_window w;
    size_t first;
};

static void reopen(struct run *r)
{
    struct err err = {0};

    for (size_t b = 0; b < BLOCKS; b++)
        must(r->block[b] = slide_block_open(r->m, r->first + b, &r->shape, 1, &err));
    r->w = (struct slide_window){.par = r->par, .block = r->block, .count = BLOCKS};
}

static void window_open(struct run *r, const struct variant *v)
{
    r->shape = v->shape;
    r->shape.grid = grid_find("asym");
    r->shape.scale_type = DT_F32;
    r->shape.rank = 4;
    r->shape.scales = r->shape.scales_all = 1;
    reopen(r);
}

static void window_close(struct run *r)
{
    for (size_t b = 0; b < BLOCKS; b++)
        slide_block_close(&r->block[b]);
}

/* Goldens have A turned; g: compare with the gradient of this variant instead of reading. */
static void golden_param(const struct run *r, const char *of, const char *what,
                         const struct slide_param *p, size_t rows, const char *variant)
{
    char name[256];
    float *x = run_array(p->n);
    const size_t columns = p->n / rows;

    for (size_t i = 0; i < rows && variant; i++)
        for (size_t k = 0; k < columns; k++)
            x[k * rows + i] = p->g[i * columns + k];
    if (variant) {
        snprintf(name, sizeof name, "grad.%s.through.%s", variant, what);
        grad_compare(r->g, of, name, x, p->n, GRAD_TOLERANCE);
    } else {
        size_t n;
        float *want = run_golden(r->g, what, &n);

        assert_int_equal(n, p->n);
        for (size_t i = 0; i < rows; i++)
            for (size_t k = 0; k < columns; k++)
                p->x[i * columns + k] = want[k * rows + i];
        free(want);
    }
    free(x);
}

static void golden_params(const struct run *r, const char *of, const char *variant)
{
    static const char *const kinds[] = {"attn", "mlp"};
    char what[256];

    for (size_t b = 0; b < BLOCKS; b++) {
        for (size_t i = 0; i < SLIDE_ALPHAS; i++) {
            snprintf(what, sizeof what, "alpha.%zu.%s", r->first + b, kinds[i]);
            golden_param(r, of, what, &r->block[b]->alpha[i], 1, variant);
        }
        for (size_t i = 0; i < r->block[b]->count; i++) {
            const struct slide_linear *l = &r->block[b]->linear[i];

            snprintf(what, sizeof what, "A.%s", l->name);
            golden_param(r, of, what, &l->a, 4, variant);
            snprintf(what, sizeof what, "B.%s", l->name);
            golden_param(r, of, what, &l->b, 1, variant);
        }
    }
}

static void golden_codes(const struct run *r, const char *variant)
{
    struct err err = {0};
    char name[256];

    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; i < r->block[b]->count; i++) {
            struct slide_linear *l = &r->block[b]->linear[i];
            const size_t n = l->N * l->K;
            uint8_t *codes;
            struct tensor t;

            snprintf(name, sizeof name, "codes.%s.%s", variant, l->name);
            if (!st_find(r->g, name))
                continue;
            must(codes = mem_raw(n, 1, &err));
            must(slide_linear_round(l, r->par, slide_block_out(r->block[b], i), codes, &err) == 0);
            must(st_load(r->g, run_find(r->g, name), &t, &err) == 0);
            assert_int_equal(t.bytes, n);
            assert_memory_equal(codes, t.data, n);
            tensor_release(&t);
            free(codes);
        }
}

static void set_clip(const struct run *r, double clip)
{
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; i < r->block[b]->count; i++) {
            const struct slide_linear *l = &r->block[b]->linear[i];

            for (size_t k = 0; k < l->lo.n; k++)
                l->lo.x[k] = l->hi.x[k] = (float)log(clip / (1 - clip));
        }
}

/* Our grids hold 0; those of the golden begin at the smallest weight of a group and end at the
 * largest. They differ where all weights of a group have one sign, as in some that are short. */
static int all_hold_zero(const struct slide_linear *l)
{
    for (size_t n = 0; n < l->N; n++)
        for (size_t g = 0; g < l->G; g++) {
            double lo = INFINITY, hi = -INFINITY;

            for (size_t k = g * l->width; k < l->K && k < (g + 1) * l->width; k++) {
                double x = (double)l->w[n * l->K + k];

                x *= l->alpha ? (double)l->alpha->x[k] : 1;
                for (size_t i = 0; i < 4; i++)
                    x += (double)l->a.x[i * l->K + k] * (double)l->b.x[i * l->N + n];
                lo = fmin(lo, x);
                hi = fmax(hi, x);
            }
            if (lo > 0 || hi < 0)
                return 0;
        }
    return 1;
}

static int comparable(const struct run *r)
{
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; i < r->block[b]->count; i++)
            if (!all_hold_zero(&r->block[b]->linear[i]))
                return 0;
    return 1;
}

static void compare(struct run *r, const char *of, const struct variant *v,
                    const struct slide_batch *t)
{
    struct err err = {0};
    char name[64];
    double *want, loss;
    size_t n;

    set_clip(r, v->clip);
    for (size_t b = 0; b < BLOCKS; b++)
        must(slide_block_round(r->block[b], r->par, &err) == 0);
    must(slide_window_back(&r->w, t, &loss, &err) == 0);
    snprintf(name, sizeof name, "loss.%s", v->name);
    want = grad_golden(r->g, name, &n);
    if (!(fabs(loss - *want) <= 1e-5 * *want))
        fail_msg("%s: %s is %.9g, not %.9g", of, name, loss, *want);
    golden_params(r, of, v->name);
    golden_codes(r, v->name);
    free(want);
}

/* 1: it could be compared. */
static int check_variant(struct run *r, const char *of, const struct variant *v)
{
    size_t n, T;
    float *x = run_golden(r->g, "X", &n), *target = run_array(n);
    double *fp = grad_golden(r->g, "Y.fp", &T);
    int32_t length;
    int rc;

    for (size_t i = 0; i < n; i++)
        target[i] = (float)fp[i];
    window_open(r, v);
    T = n / model_config(r->m)->d;
    length = (int32_t)T;
    golden_params(r, of, NULL);
    if ((rc = comparable(r)))
        compare(r, of, v,
                &(struct slide_batch){
                    .rows = {.T = T, .nseq = 1, .lengths = &length}, .x = x, .target = target});
    window_close(r);
    free(fp);
    free(target);
    free(x);
    return rc;
}

static void windows_are_those_of_torch(void **state)
{
    size_t done = 0, models = 0;

    (void)state;
    for (size_t i = 0; i < GOLDENS; i++) {
        struct err err = {0};
        struct run r = {.par = par_open(1, &err)};

        if (grad_open(goldens[i], "window", r.par, &r.m, &r.g)) {
            r.first =
                (size_t)strtoul(json_as_text(json_get(r.g->metadata, "layers")) + 1, NULL, 10);
            for (size_t v = 0; v < VARIANTS; v++)
                done += (size_t)check_variant(&r, goldens[i], &variants[v]);
            st_close(&r.g);
            model_close(&r.m);
            models++;
        }
        par_close(&r.par);
    }
    if (!models) {
        print_message("skip: no golden gradients on this machine (PTQ_SHARED)\n");
        skip();
    }
    assert_true(done + 2 >= VARIANTS * models); /* gemma3 has groups of 4, phi3 many groups */
}

/* ---- a model that lies here ---- */

enum { ROWS = 40 };
static const int32_t lengths[] = {11, 29};

static void own_open_with(struct run *r, size_t threads, enum products products)
{
    static const struct variant v = {"own", {.bits = 2, .group = 16, .clips = 1}, 0};
    struct err err = {0};

    *r = (struct run){.par = par_open(threads, &err)};
    must(r->m = model_open_for(OWN, &(struct model_use){.products = products, .learns = 1}, r->par,
                               &err));
    window_open(r, &v);
}

static void own_open(struct run *r, size_t threads)
{
    own_open_with(r, threads, PRODUCTS_F32);
}

static void own_close(struct run *r)
{
    window_close(r);
    model_close(&r->m);
    par_close(&r->par);
}

/* The losses of some steps on random rows; weight: of the tokens. */
static void learn(struct run *r, const float *weight, size_t steps, double *loss)
{
    static const double rate[SLIDE_RATES] = {1e-2, 1e-3, 1e-3};
    const size_t n = ROWS * model_config(r->m)->d;
    float *x = run_array(n), *target = run_array(n);
    const struct slide_batch t = {{.T = ROWS, .nseq = 2, .lengths = lengths}, x, target, weight, 0};
    struct err err = {0};
    struct rng rng;

    rng_seed(&rng, 5, 0);
    for (size_t i = 0; i < n; i++)
        target[i] = x[i] = (float)rng_normal(&rng);
    for (size_t b = 0; b < BLOCKS; b++) {
        struct block *full = block_open(r->m, r->first + b, &err);

        must(full && block_load_all(full, &err) == 0);
        must(block_forward(full, &t.rows, target, &err) == 0);
        block_close(&full);
        must(slide_block_round(r->block[b], r->par, &err) == 0);
    }
    for (size_t i = 0; i < steps; i++) {
        must(slide_window_back(&r->w, &t, &loss[i], &err) == 0);
        must(slide_window_step(&r->w, rate, i + 1, &err) == 0);
        must(slide_window_round(&r->w, &err) == 0);
    }
    free(target);
    free(x);
}

static void steps_go_downhill_the_same_on_any_threads(void **state)
{
    enum { STEPS = 12 };
    double loss[2][STEPS];
    struct run r[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        own_open(&r[i], 1 + 2 * i);
        learn(&r[i], NULL, STEPS, loss[i]);
    }
    assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
    assert_true(loss[0][STEPS - 1] < 0.9 * loss[0][0]);
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; i < r[0].block[b]->count; i++) {
            const struct slide_linear *l = &r[0].block[b]->linear[i];

            assert_memory_equal(slide_block_out(r[0].block[b], i),
                                slide_block_out(r[1].block[b], i), l->N * l->K * sizeof(float));
            assert_memory_equal(l->b.x, r[1].block[b]->linear[i].b.x, l->b.n * sizeof(float));
        }
    own_close(&r[0]);
    own_close(&r[1]);
}

/* Every gradient, one behind the other; NULL: how many there are. */
static size_t gradients(const struct run *r, double *g)
{
    enum slide_rate rate;
    struct slide_param *p;
    size_t n = 0;

    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; (p = slide_block_param(r->block[b], i, &rate)); i++)
            for (size_t k = 0; k < p->n; k++, n++)
                if (g)
                    g[n] = (double)p->g[k];
    return n;
}

/* With products of bf16 both operands are off by up to 2^-9, so each result by up to 2^-8 of what
 * is multiplied, each by itself. The gradient of a weight of the first block stands behind nine
 * products a block (seven linears, two of an attention) on the way there, as many on the way back
 * and its own: the root of 37 times that. The way back begins with y - target, which at 2 bits is
 * no shorter than y. The same bytes on any number of threads. */
static void products_of_bf16_give_near_gradients(void **state)
{
    struct run r[3];
    double loss[3], apart = 0, all = 0, *g[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        own_open_with(&r[i], 1 + 2 * (i == 2), i ? PRODUCTS_BF16 : PRODUCTS_F32);
        learn(&r[i], NULL, 1, &loss[i]);
        g[i] = mem_array(gradients(&r[i], NULL), sizeof(double), NULL);
        assert_non_null(g[i]);
        gradients(&r[i], g[i]);
    }
    for (size_t k = 0; k < gradients(&r[0], NULL); k++) {
        apart += (g[0][k] - g[1][k]) * (g[0][k] - g[1][k]);
        all += g[0][k] * g[0][k];
    }
    assert_true(loss[0] > 1); /* the mean square of the rows */
    assert_true(all > 0 && apart > 0 && sqrt(apart / all) <= sqrt(37) * ldexp(1, -8));
    assert_memory_equal(g[1], g[2], gradients(&r[0], NULL) * sizeof(double));
    for (size_t i = 0; i < 3; i++) {
        free(g[i]);
        own_close(&r[i]);
    }
}

/* The sum over a block of what two windows learn of alpha, and what they are apart. */
static void compare_alphas(const struct run *a, const struct run *b)
{
    double all = 0, apart = 0;

    for (size_t i = 0; i < BLOCKS; i++)
        for (size_t k = 0; k < SLIDE_ALPHAS; k++)
            for (size_t n = 0; n < a->block[i]->alpha[k].n; n++) {
                const double x = (double)a->block[i]->alpha[k].g[n],
                             y = (double)b->block[i]->alpha[k].g[n];

                all += x * x;
                apart += (x - y) * (x - y);
            }
    assert_true(all > 0 && sqrt(apart / all) < GRAD_TOLERANCE);
}

/* Whether the norm divides or the linear: the same loss, the same gradients. */
static void norms_divide_as_linears_do(void **state)
{
    struct run r[2];
    double loss[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        own_open(&r[i], 1);
        if (i) {
            window_close(&r[i]);
            r[i].shape.scales_all = 0;
            reopen(&r[i]);
        }
        for (size_t b = 0; b < BLOCKS; b++)
            for (size_t k = 0; k < SLIDE_ALPHAS; k++)
                for (size_t n = 0; n < r[i].block[b]->alpha[k].n; n++)
                    r[i].block[b]->alpha[k].x[n] = 0.5f + 0.01f * (float)(n % 90);
        learn(&r[i], NULL, 1, &loss[i]);
    }
    assert_true(fabs(loss[0] - loss[1]) <= 1e-5 * loss[0]);
    compare_alphas(&r[0], &r[1]);
    own_close(&r[0]);
    own_close(&r[1]);
}

/* A token of weight 0 might as well not be there; twice the weight everywhere changes nothing. */
static void tokens_count_by_their_weights(void **state)
{
    float weight[ROWS];
    double loss[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct run r;

        own_open(&r, 1);
        for (size_t t = 0; t < ROWS; t++)
            weight[t] = i == 2 && t % 2 ? 0 : (float)i;
        learn(&r, i ? weight : NULL, 1, &loss[i]);
        own_close(&r);
    }
    assert_memory_equal(&loss[0], &loss[1], sizeof loss[0]);
    assert_true(fabs(loss[2] - loss[0]) > 1e-6 * loss[0]);
}

static void only_the_first_inputs_are_rounded(void **state)
{
    struct err err = {0};
    double all, half;
    struct run r;

    (void)state;
    own_open(&r, 1);
    learn(&r, NULL, 1, &all);
    own_close(&r);
    own_open(&r, 1);
    must(slide_window_narrow(&r.w, 0.5, &err) == 0);
    learn(&r, NULL, 0, &half);
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; i < r.block[b]->count; i++) {
            const struct slide_linear *l = &r.block[b]->linear[i];
            const float *out = slide_block_out(r.block[b], i);
            size_t same[2] = {0, 0};

            for (size_t k = 0; k < l->N * l->K; k++)
                same[k % l->K >= l->K / 2] += !(fabsf(out[k] - l->w[k]) > 0);
            assert_int_equal(same[1], l->N * (l->K / 2)); /* B is 0: nothing is added yet */
            assert_true(same[0] < l->N * l->K / 4);
        }
    learn(&r, NULL, 1, &half);
    assert_true(half < all);
    own_close(&r);
}

static void a_grid_of_unequal_steps_is_refused(void **state)
{
    struct grid other = *grid_find("asym");
    const struct slide_shape shape = {.grid = &other, .bits = 4, .group = -1};
    struct slide_linear l;
    struct err err = {0};

    (void)state;
    other.value = NULL;
    assert_int_equal(slide_linear_init(&l, &shape, "x", 4, 8, NULL, 1, 0, &err), -1);
    assert_int_equal(err.kind, ERR_USE);
    assert_non_null(strstr(err.text, "equal steps"));
    slide_linear_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grid_of_unequal_steps_is_refused),
        cmocka_unit_test(windows_are_those_of_torch),
        cmocka_unit_test(norms_divide_as_linears_do),
        cmocka_unit_test(products_of_bf16_give_near_gradients),
        cmocka_unit_test(steps_go_downhill_the_same_on_any_threads),
        cmocka_unit_test(only_the_first_inputs_are_rounded),
        cmocka_unit_test(tokens_count_by_their_weights),
    };
    struct err err = {0};

    return blas_start(&err) < 0 ? 111 : cmocka_run_group_tests(tests, NULL, NULL);
}
