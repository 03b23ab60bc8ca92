/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_back - cross-entropy and its gradients through whole models against torch autograd in
 * f64 (PTQ_SHARED); several sequences and chunks give what each gives alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/model/model_back.h"
#include "../../common/tensor/blas.h"
#include "grad_run.h"

#define OWN "tests/golden/conformance/qwen3"

static const char *const goldens[] = {"qwen3",  "qwen2",  "llama3",    "olmo2",     "phi3",
                                      "gemma2", "gemma3", "qwen3_moe", "tale-qwen3"};
enum { GOLDENS = sizeof goldens / sizeof goldens[0] };

/* ---- against goldens ---- */

struct compare {
    const char *model, *variant;
    const struct st_set *g;
    const struct model *m;
    size_t T, d;
    float abs[2][4096]; /* of the head, which is told in parts */
    size_t tokens, norms, matrices, hidden;
};

/* abs and sq of each row. */
static void measure(const struct block_back_rows *x, float *abs, float *sq)
{
    for (size_t t = 0; t < x->count; t++) {
        double a = 0, s = 0;

        for (size_t i = 0; i < x->N; i++) {
            a += fabs((double)x->g[t * x->N + i]);
            s += (double)x->g[t * x->N + i] * (double)x->g[t * x->N + i];
        }
        abs[t] = (float)(a / (double)x->N);
        sq[t] = (float)s;
    }
}

static void compare_tokens(struct compare *c, const char *linear, const float *abs, const float *sq,
                           size_t n)
{
    char name[256];

    snprintf(name, sizeof name, "tok.%s.%s.abs", c->variant, linear);
    if (!st_find(c->g, name))
        fail_msg("%s: the golden has no '%s'", c->model, name);
    grad_compare(c->g, c->model, name, abs, n, GRAD_TOLERANCE);
    snprintf(name, sizeof name, "tok.%s.%s.sq", c->variant, linear);
    grad_compare(c->g, c->model, name, sq, n, GRAD_TOLERANCE);
    c->tokens++;
}

static int each_linear(void *ctx, size_t chunk, size_t block, const struct block_back_rows *x,
                       struct err *e)
{
    struct compare *c = ctx;
    float *abs = run_array(x->count), *sq = run_array(x->count);

    (void)chunk;
    (void)block;
    (void)e;
    measure(x, abs, sq);
    if (strcmp(x->name, "lm_head") == 0)
        for (size_t i = 0; i < x->count; i++) {
            c->abs[0][x->token[i]] = abs[i];
            c->abs[1][x->token[i]] = sq[i];
        }
    else if (x->count) /* the golden leaves experts out that no token goes to */
        compare_tokens(c, x->name, abs, sq, x->count);
    free(abs);
    free(sq);
    return 0;
}

static double length_of(const float *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* The gradient of a weight: its norm, and where the golden has it all of it. */
static void compare_matrix(struct compare *c, const struct block_back *k, const char *norm)
{
    const char *linear = norm + strlen("norm.all.");
    char name[300];
    const struct st_entry *whole;
    const float *got;

    snprintf(name, sizeof name, "%s.weight", linear);
    assert_non_null(got = block_back_tensor(k, name));
    whole = st_find(model_tensors(c->m), name);
    assert_non_null(whole);
    grad_compare(c->g, c->model, norm,
                 &(float){(float)length_of(got, whole->shape[0] * whole->shape[1])}, 1,
                 GRAD_TOLERANCE);
    c->norms++;
    snprintf(name, sizeof name, "dW.%s.%s", c->variant, linear);
    if (!st_find(c->g, name))
        return;
    grad_compare(c->g, c->model, name, got, whole->shape[0] * whole->shape[1], GRAD_TOLERANCE);
    c->matrices++;
}

static int each_block(void *ctx, size_t chunk, size_t block, const struct block_back *k,
                      const float *g, struct err *e)
{
    struct compare *c = ctx;
    char prefix[64], name[64];

    (void)chunk;
    (void)e;
    snprintf(prefix, sizeof prefix, "norm.%s.model.layers.%zu.", c->variant, block);
    for (size_t i = 0; i < c->g->count; i++)
        if (strncmp(c->g->entries[i].name, prefix, strlen(prefix)) == 0)
            compare_matrix(c, k, c->g->entries[i].name);
    snprintf(name, sizeof name, "hgrad.%s.%zu", c->variant, block - 1); /* what block - 1 gave */
    if (block > 0 && st_find(c->g, name)) {
        grad_compare(c->g, c->model, name, g, c->T * c->d, GRAD_TOLERANCE);
        c->hidden++;
    }
    return 0;
}

static void model_golden(const char *name, const char *variant, struct par *par)
{
    struct err err = {0};
    struct model *m;
    struct st_set *g;
    struct compare c = {.model = name, .variant = variant};
    char key[64];
    double *mask, loss;
    int32_t *ids, length;
    uint8_t predicted[4096];
    struct rows r = {.nseq = 1, .lengths = &length};

    assert_true(grad_open(name, "ce", par, &m, &g));
    c.g = g;
    c.m = m;
    c.d = model_config(m)->d;
    ids = run_ids(g, "input_ids", &c.T);
    r.T = c.T;
    length = (int32_t)c.T;
    snprintf(key, sizeof key, "mask.%s", variant);
    mask = grad_golden(g, key, &c.T);
    for (size_t t = 0; t < c.T; t++)
        predicted[t] = mask[t] > 0;
    must(model_back_run(m,
                        &(struct model_back_chunk){
                            .rows = &r, .ids = ids, .predicted = predicted, .loss = &loss},
                        1,
                        &(struct model_back_ask){
                            .linear = each_linear, .block = each_block, .tensors = 1, .ctx = &c},
                        &err) == 0);
    snprintf(key, sizeof key, "loss.%s", variant);
    grad_compare(g, name, key, &(float){(float)loss}, 1, GRAD_TOLERANCE);
    compare_tokens(&c, "lm_head", c.abs[0], c.abs[1], c.T);
    assert_true(c.tokens >= model_config(m)->layers * 4);
    assert_true(c.norms >= model_config(m)->layers * 4);
    assert_true(strcmp(variant, "all") != 0 || (c.matrices >= 4 && c.hidden >= 1));
    free(mask);
    free(ids);
    st_close(&g);
    model_close(&m);
}

static void models_are_those_of_autograd(void **state)
{
    struct err err = {0};
    struct par *par = par_open(1, &err);

    (void)state;
    for (size_t i = 0; shared_path("data/golden-backward") && i < GOLDENS; i++) {
        model_golden(goldens[i], "all", par);
        model_golden(goldens[i], "ans", par);
    }
    par_close(&par);
    if (!shared_path("data/golden-backward")) {
        print_message("skip: data/golden-backward is not on this machine (PTQ_SHARED)\n");
        skip();
    }
}

/* ---- pictures and answers: three chats of shapes-vlm; the golden has o_proj, down_proj ---- */

static int each_joining(void *ctx, size_t chunk, size_t block, const struct block_back_rows *x,
                        struct err *e)
{
    struct compare *c = ctx;
    float *abs = run_array(x->count), *sq = run_array(x->count);
    char name[256];

    (void)chunk;
    (void)block;
    (void)e;
    measure(x, abs, sq);
    snprintf(name, sizeof name, "%s.tok.ans.%s.abs", c->variant, x->name);
    if (st_find(c->g, name)) {
        grad_compare(c->g, c->model, name, abs, x->count, GRAD_TOLERANCE);
        c->tokens++;
    }
    free(abs);
    free(sq);
    return 0;
}

static void picture_golden(struct model *m, const struct st_set *g, const char *sample)
{
    static const int32_t one = 1, grid[3] = {1, 0, 0};
    struct err err = {0};
    struct compare c = {.model = "shapes-vlm", .variant = sample, .g = g};
    char key[64];
    size_t n;
    double *mask, *image, loss;
    int32_t *ids, *of, length;
    uint8_t *predicted;
    float *pixels;
    struct seen seen;
    struct rows r = {.nseq = 1, .lengths = &length};

    snprintf(key, sizeof key, "%s.input_ids", sample);
    ids = run_ids(g, key, &r.T);
    length = (int32_t)r.T;
    snprintf(key, sizeof key, "%s.mask.ans", sample);
    mask = grad_golden(g, key, &n);
    snprintf(key, sizeof key, "%s.image", sample);
    image = grad_golden(g, key, &n);
    of = mem_array(r.T, sizeof *of, &err);
    predicted = mem_array(r.T, 1, &err);
    must(of && predicted);
    for (size_t t = 0; t < r.T; t++) {
        predicted[t] = mask[t] > 0;
        of[t] = image[t] > 0 ? 0 : -1;
    }
    snprintf(key, sizeof key, "%s.pixel_values", sample);
    pixels = run_golden(g, key, &n);
    must(seen_open(
             m,
             &(struct seen_text){.T = r.T, .nseq = 1, .ids = ids, .lengths = &length, .image = of},
             &(struct pictures){.count = 1,
                                .pixels = pixels,
                                .rows = 1,
                                .width = n,
                                .image_rows = &one,
                                .grid = grid},
             &seen, &err) == 0);
    r.seen = seen_rows(&seen);
    must(model_back_run(
             m,
             &(struct model_back_chunk){
                 .rows = &r, .seen = &seen, .ids = ids, .predicted = predicted, .loss = &loss},
             1, &(struct model_back_ask){.linear = each_joining, .ctx = &c}, &err) == 0);
    snprintf(key, sizeof key, "%s.loss.ans", sample);
    grad_compare(g, "shapes-vlm", key, &(float){(float)loss}, 1, GRAD_TOLERANCE);
    assert_int_equal(c.tokens, 2 * model_config(m)->layers);
    seen_release(&seen);
    free(ids);
    free(of);
    free(mask);
    free(image);
    free(pixels);
    free(predicted);
}

static void pictures_are_those_of_autograd(void **state)
{
    static const char *const samples[] = {"0", "1", "2"};
    struct err err = {0};
    struct par *par = par_open(1, &err);
    struct model *m;
    struct st_set *g;

    (void)state;
    if (!grad_open("shapes-vlm", "ce", par, &m, &g)) {
        par_close(&par);
        print_message("skip: data/golden-backward is not on this machine (PTQ_SHARED)\n");
        skip();
    }
    for (size_t i = 0; i < 3; i++)
        picture_golden(m, g, samples[i]);
    st_close(&g);
    model_close(&m);
    par_close(&par);
}

/* ---- VLMQ's local loss ---- */

static int each_local(void *ctx, const struct block_back_rows *x, struct err *e)
{
    struct compare *c = ctx;
    float *abs = run_array(x->count), *sq = run_array(x->count);
    char name[256];

    (void)e;
    measure(x, abs, sq);
    snprintf(name, sizeof name, "tok.%s.abs", x->name);
    grad_compare(c->g, c->model, name, abs, x->count, GRAD_TOLERANCE);
    snprintf(name, sizeof name, "tok.%s.sq", x->name);
    grad_compare(c->g, c->model, name, sq, x->count, GRAD_TOLERANCE);
    c->tokens++;
    free(abs);
    free(sq);
    return 0;
}

static void local_golden(const char *name, struct par *par)
{
    struct err err = {0};
    struct model *m;
    struct st_set *g;
    struct block *b;
    struct compare c = {.model = name};
    int32_t length;
    struct rows r = {.nseq = 1, .lengths = &length};
    size_t n;
    float *full, *off;
    double loss;

    assert_true(grad_open(name, "local", par, &m, &g));
    c.g = g;
    full = run_golden(g, "F", &n);
    off = run_golden(g, "E", &n);
    r.T = run_find(g, "F")->shape[0];
    length = (int32_t)r.T;
    for (size_t i = 0; i < n; i++)
        off[i] += full[i];
    must(b = block_open(m, grad_number(g, "layer"), &err));
    must(block_load_all(b, &err) == 0);
    must(block_back_local(b, &r, full, off, &loss,
                          &(struct block_back_ask){.linear = each_local, .ctx = &c}, &err) == 0);
    grad_compare(g, name, "loss", &(float){(float)loss}, 1, GRAD_TOLERANCE);
    assert_true(c.tokens >= 2);
    block_close(&b);
    st_close(&g);
    model_close(&m);
    free(full);
    free(off);
}

static void local_losses_are_those_of_autograd(void **state)
{
    struct err err = {0};
    struct par *par = par_open(1, &err);

    (void)state;
    for (size_t i = 0; shared_path("data/golden-backward") && i < GOLDENS; i++)
        local_golden(goldens[i], par);
    par_close(&par);
    if (!shared_path("data/golden-backward")) {
        print_message("skip: data/golden-backward is not on this machine (PTQ_SHARED)\n");
        skip();
    }
}

/* ---- sequences and chunks by themselves ---- */

enum { TOKENS = 30 };

struct gather {
    float *abs[2]; /* of each chunk: all linears, in the order that they are told */
    size_t count[2];
};

static int gather(void *ctx, size_t chunk, size_t block, const struct block_back_rows *x,
                  struct err *e)
{
    struct gather *v = ctx;
    float sq[TOKENS];

    (void)block;
    (void)e;
    measure(x, v->abs[chunk] + v->count[chunk], sq);
    v->count[chunk] += x->count;
    return 0;
}

/* The mean of -log p of those that are predicted, by a forward pass. */
static double mean_nll(struct model *m, const int32_t *ids, const uint8_t *predicted, size_t n)
{
    const size_t V = model_config(m)->vocab;
    float *logits = run_logits(m, ids, n);
    double sum = 0, count = 0;

    for (size_t t = 1; t < n; t++)
        if (predicted[t]) {
            sum += run_nll(logits + (t - 1) * V, V, (size_t)ids[t]);
            count++;
        }
    free(logits);
    return sum / count;
}

static void chunks_do_not_meet(void **state)
{
    static const int32_t both[] = {11, 19};
    struct err err = {0};
    struct par *one = par_open(1, &err), *three = par_open(3, &err);
    struct gather v[2];
    int32_t ids[TOKENS];
    uint8_t predicted[TOKENS];
    double loss[2][2], alone;
    const struct rows r = {.T = TOKENS, .nseq = 2, .lengths = both},
                      last = {.T = 19, .nseq = 1, .lengths = both + 1};

    (void)state;
    for (size_t t = 0; t < TOKENS; t++) {
        ids[t] = (int32_t)(t * 7 % 50);
        predicted[t] = t < 11 || t % 3 == 0;
    }
    for (size_t k = 0; k < 2; k++) { /* one chunk on three threads, and two on one */
        struct model *m = model_open(OWN, k ? one : three, &err);
        const struct model_back_chunk c[2] = {
            {.rows = &r, .ids = ids, .predicted = predicted, .loss = loss[k]},
            {.rows = &last, .ids = ids + 11, .predicted = predicted + 11, .loss = &alone}};

        must(m);
        for (size_t i = 0; i < 2; i++) {
            v[k].abs[i] = run_array(TOKENS * 200);
            v[k].count[i] = 0;
        }
        must(model_back_run(m, c, k + 1, &(struct model_back_ask){.linear = gather, .ctx = &v[k]},
                            &err) == 0);
        assert_true(fabs(loss[k][0] - mean_nll(m, ids, predicted, 11)) <= 1e-5 * loss[k][0]);
        assert_true(fabs(loss[k][1] - mean_nll(m, ids + 11, predicted + 11, 19)) <=
                    1e-5 * loss[k][1]);
        model_close(&m);
    }
    assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
    assert_int_equal(v[0].count[0], v[1].count[0]);
    assert_memory_equal(v[0].abs[0], v[1].abs[0], v[0].count[0] * sizeof(float));
    assert_true(fabs(alone - loss[0][1]) <= 1e-5 * alone);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < 2; i++)
            free(v[k].abs[i]);
    par_close(&one);
    par_close(&three);
}

static int stop_now(void *ctx)
{
    (void)ctx;
    return 1;
}

static void nothing_predicted_and_stops(void **state)
{
    static const int32_t both[] = {1, 5};
    static const int32_t ids[] = {1, 2, 3, 4, 5, 6}, outside[] = {1, 2, 3, 4, 5, 1 << 30};
    static const uint8_t none[6] = {1, 1}; /* the first of a sequence is not asked */
    const struct rows r = {.T = 6, .nseq = 2, .lengths = both};
    struct err err = {0};
    struct par *par = par_open(1, &err);
    struct model *m = model_open(OWN, par, &err);
    double loss[2];
    struct model_back_chunk c = {.rows = &r, .ids = ids, .predicted = none, .loss = loss};
    struct gather v = {.abs = {run_array(6000)}};

    (void)state;
    must(m && model_back_check(m, &err) == 0);
    must(model_back_run(m, &c, 1, &(struct model_back_ask){.linear = gather, .ctx = &v}, &err) ==
         0);
    assert_true(isnan(loss[0]) && isnan(loss[1]));
    for (size_t i = 0; i < v.count[0]; i++)
        assert_true(v.abs[0][i] == 0);
    assert_int_equal(model_back_run(m, &c, 1, &(struct model_back_ask){.stop = stop_now}, &err),
                     -1);
    c.ids = outside;
    assert_int_equal(model_back_run(m, &c, 1, &(struct model_back_ask){0}, &err), -1);
    assert_non_null(strstr(err.text, "outside the vocabulary"));
    free(v.abs[0]);
    model_close(&m);
    par_close(&par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_predicted_and_stops),
        cmocka_unit_test(chunks_do_not_meet),
        cmocka_unit_test(local_losses_are_those_of_autograd),
        cmocka_unit_test(models_are_those_of_autograd),
        cmocka_unit_test(pictures_are_those_of_autograd),
    };
    struct err err = {0};

    return blas_start(&err) < 0 ? 111 : cmocka_run_group_tests(tests, NULL, NULL);
}
