/* SPDX-License-Identifier: Apache-2.0 */
/* test_conformance - the forward pass of each family against transformers, tensor by tensor: a
 * folder with a tiny random model is a line. Some lie in tests/golden/conformance, the others in
 * PTQ_SHARED.
 *
 * Tolerance: the largest difference between the reference's own f32 and f64 runs (README of the
 * folder), times 20: another order of sums lands in the same range, any special case that is
 * switched off is 1000 times further away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/tensor/blas.h"
#include "model_run.h"
#include "shared.h"

struct golden {
    const char *name;
    double hidden, inputs, logits;
};

static const struct golden goldens[] = {
    {"llama3", 2.16e-5, 2.07e-5, 2.12e-5},       {"llama-tied", 2.7e-5, 2.1e-5, 3.02e-5},
    {"mistral", 1.8e-5, 3.13e-5, 1.88e-5},       {"qwen3", 1.49e-5, 1.56e-5, 2.15e-5},
    {"qwen2", 3.43e-5, 4.13e-5, 2.67e-5},        {"qwen2-window", 3.09e-5, 3.41e-5, 3.69e-5},
    {"qwen2-yarn", 3.64e-5, 2.84e-5, 4.05e-5},   {"olmo2", 8.47e-6, 2.09e-5, 7.42e-6},
    {"olmo3", 1.15e-5, 7.61e-5, 6.14e-6},        {"smollm3", 2.47e-5, 1.57e-5, 2.48e-5},
    {"granite", 2.51e-6, 3.6e-6, 3e-6},          {"cohere2", 2.27e-5, 1.17e-5, 4.82e-6},
    {"gemma2", 1.88e-5, 9.99e-6, 6.46e-6},       {"gemma3", 1.67e-5, 1.06e-5, 4.75e-6},
    {"phi3", 2.08e-5, 1.89e-5, 1.46e-5},         {"phi3-longrope", 2.71e-5, 1.84e-5, 2.19e-5},
    {"mixtral", 2.29e-5, 3.46e-5, 1.38e-5},      {"qwen2_moe", 1.59e-5, 8.98e-6, 1.51e-5},
    {"qwen3_moe", 8.37e-6, 8.76e-6, 7.02e-6},    {"qwen3_moe-step", 9.57e-6, 1.06e-5, 1.07e-5},
    {"glm4_moe", 9.26e-6, 8.81e-6, 8.58e-6},     {"ministral3", 2.82e-5, 2.97e-5, 2.92e-5},
    {"gpt_oss", 4.75e-5, 3.39e-5, 2.93e-5},      {"deepseek_v3", 0.000125, 5.9e-5, 4.34e-5},
    {"qwen3_next", 4.85e-5, 5.37e-5, 4.21e-5},   {"gemma4-moe", 8.65e-5, 2.78e-5, 3.49e-5},
    {"qwen3_5", 6.55e-5, 4.79e-5, 4.11e-5},      {"qwen3_5_moe", 0.000165, 0.000153, 0.000118},
    {"gemma4", 0.000162, 9.08e-5, 5.63e-5},      {"seed_oss", 7.92e-6, 1.65e-5, 4.92e-6},
    {"ernie4_5", 1.03e-5, 1.12e-5, 5.89e-6},     {"glm", 8.44e-6, 6.15e-6, 1.13e-5},
    {"glm4", 8.52e-6, 1.23e-5, 5.41e-6},         {"exaone4", 8.29e-6, 2.34e-5, 2.79e-6},
    {"arcee", 9.85e-6, 1.56e-5, 6.35e-6},        {"minimax_m2", 4.59e-6, 5.6e-6, 3.76e-6},
    {"glm4_moe_lite", 1.23e-5, 1.21e-5, 1.2e-5},
};
enum { GOLDENS = sizeof goldens / sizeof goldens[0], GATE = 20 };

/* The folder of a golden, or NULL. */
static const char *folder(const struct golden *x)
{
    static char own[128];
    char name[128];

    snprintf(own, sizeof own, "tests/golden/conformance/%s", x->name);
    if (access(own, R_OK) == 0)
        return own;
    snprintf(name, sizeof name, "data/conformance/%s", x->name);
    return shared_path(name);
}

/* ---- from stop to stop ---- */

/* Goldens of decoders that were run alone do not say in which part of the model they stand. */
static void golden_name(const struct st_set *g, char *name)
{
    static const char part[] = "language_model.";
    char *at = strstr(name, part);

    if (!st_find(g, name) && at)
        memmove(at, at + strlen(part), strlen(at + strlen(part)) + 1);
}

/* "model.layers.1.mlp", as transformers names the module that holds the experts of a linear. */
static void experts_module(const char *linear, char *out, size_t size)
{
    const char *end = strstr(linear, ".experts."), *old = strstr(linear, ".block_sparse_moe");

    snprintf(out, size, "%.*s%s", (int)((old ? old : end) - linear), linear, old ? ".mlp" : "");
}

/* The tokens that the expert got; for its second linear also what it made of them. */
static size_t compare_expert(const struct st_set *g, int seq, const struct site *s,
                             const struct block_rows *rows, double tolerance)
{
    char module[128], name[256];
    int32_t *tokens;
    size_t n;

    experts_module(s->linear[0].name, module, sizeof module);
    snprintf(name, sizeof name, "expert.%d.%s.%d.rows", seq, module, s->expert);
    golden_name(g, name);
    if (!st_find(g, name))
        return 0;
    tokens = run_ids(g, name, &n);
    assert_int_equal(rows->count, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rows->token[i], tokens[i]);
    free(tokens);
    snprintf(name, sizeof name, "expert.%d.%s.%d.down_in", seq, module, s->expert);
    golden_name(g, name);
    if (strstr(s->name, ".down"))
        run_compare(g, name, rows->x, n * s->inputs, tolerance);
    return 1;
}

static size_t compare_input(const struct st_set *g, int seq, const struct site *s,
                            const struct block_rows *rows, size_t T, double tolerance)
{
    char name[256];

    if (s->expert >= 0)
        return compare_expert(g, seq, s, rows, tolerance);
    assert_true(rows->count == T && !rows->token);
    snprintf(name, sizeof name, "in.%d.%s", seq, s->linear[0].name);
    golden_name(g, name);
    if (!st_find(g, name))
        return 0;
    run_compare(g, name, rows->x, T * s->inputs, tolerance);
    return 1;
}

/* With f32 rows kept between the stops; how many sites of the block the golden knows. */
static size_t run_stops(struct model *m, const struct st_set *g, int seq, const struct golden *x,
                        size_t index, const struct rows *r, float *h)
{
    const struct sites *sites = model_sites(m);
    const size_t first = sites->first[index], count = sites->end[index] - first;
    struct err err = {0};
    size_t compared = 0;
    struct block *b = block_open(m, index, &err);
    void *kept = run_array(r->T * model_kept(m, DT_F32) / sizeof(float));

    must(b);
    for (size_t stop = 0; stop < block_stops(b); stop++) {
        must(block_step(b, stop, r, h, DT_F32, kept, &err) == 0);
        for (size_t s = 0; s < count; s++) {
            struct block_rows rows;

            if (sites->site[first + s].stop != stop)
                continue;
            must(block_site_rows(b, s, r, DT_F32, &rows, &err) == 0);
            compared +=
                compare_input(g, seq, &sites->site[first + s], &rows, r->T, GATE * x->inputs);
        }
        block_keep(b, stop, r, DT_F32, kept);
        for (size_t s = 0; s < count; s++)
            if (sites->site[first + s].stop == stop)
                must(block_load_site(b, s, &err) == 0);
    }
    must(block_step(b, block_stops(b), r, h, DT_F32, kept, &err) == 0);
    block_close(&b);
    free(kept);
    return compared;
}

/* ---- with a cache, in three pieces ---- */

/* Rows [t, t + n) of T, with what blocks hand on beside the stream. */
static void part_take(const struct config *c, size_t T, size_t t, size_t n, const float *h,
                      float *part)
{
    memcpy(part, h + t * c->d, n * c->d * sizeof *h);
    memcpy(part + n * c->d, h + T * c->d + t * c->carry, n * c->carry * sizeof *h);
}

static void part_give(const struct config *c, size_t T, size_t t, size_t n, float *h,
                      const float *part)
{
    memcpy(h + t * c->d, part, n * c->d * sizeof *h);
    memcpy(h + T * c->d + t * c->carry, part + n * c->d, n * c->carry * sizeof *h);
}

static void run_pieces(struct model *m, size_t index, struct kv_cache *kv, size_t T, float *h)
{
    const int32_t piece[3] = {(int32_t)(T * 3 / 4), (int32_t)(T - T * 3 / 4 - 1), 1};
    const struct config *c = model_config(m);
    const size_t slot = 0;
    float *part = run_array(T * config_row(c));
    struct err err = {0};
    struct block *b = block_open(m, index, &err);

    must(b && block_load_all(b, &err) == 0);
    for (size_t i = 0, t = 0; i < 3; t += (size_t)piece[i++]) {
        const struct rows r = {.T = (size_t)piece[i], .nseq = 1, .lengths = &piece[i]};

        part_take(c, T, t, r.T, h, part);
        must(block_decode(b, kv, &slot, &r, part, &err) == 0);
        part_give(c, T, t, r.T, h, part);
        kv_advance(kv, &slot, &r);
    }
    kv_clear(kv, 0);
    free(part);
    block_close(&b);
}

/* ---- a sequence ---- */

static void run_sequence(struct model *m, const struct st_set *g, int seq, const struct golden *x)
{
    const struct config *c = model_config(m);
    struct err err = {0};
    char name[64];
    size_t T, compared = 0;
    int32_t *ids, length;
    float *h, *behind, *logits;
    struct rows r = {.nseq = 1, .lengths = &length};
    struct kv_cache *kv;

    snprintf(name, sizeof name, "input_ids.%d", seq);
    ids = run_ids(g, name, &T);
    length = (int32_t)T;
    r.T = T;
    h = run_array(T * config_row(c));
    behind = run_array(T * config_row(c));
    must(kv = model_cache(m, 1, T, &err));
    must(model_embed(m, ids, T, h, &err) == 0);
    snprintf(name, sizeof name, "hidden.%d.embed", seq);
    run_compare(g, name, h, T * c->d, 0.0);
    memcpy(behind, h, T * config_row(c) * sizeof *h);
    for (size_t l = 0; l < c->layers; l++) {
        compared += run_stops(m, g, seq, x, l, &r, h);
        run_pieces(m, l, kv, T, behind);
        snprintf(name, sizeof name, "hidden.%d.layer.%zu", seq, l);
        run_compare(g, name, h, T * c->d, GATE * x->hidden);
        run_compare(g, name, behind, T * c->d, GATE * x->hidden);
    }
    assert_true(compared >= 4);
    must(model_final_norm(m, T, h, &err) == 0);
    snprintf(name, sizeof name, "hidden.%d.norm", seq);
    run_compare(g, name, h, T * c->d, GATE * x->hidden);
    logits = run_array(T * c->vocab);
    must(model_logits(m, T, h, logits, &err) == 0);
    snprintf(name, sizeof name, "logits.%d", seq);
    run_compare(g, name, logits, T * c->vocab, GATE * x->logits);
    kv_close(&kv);
    free(logits);
    free(behind);
    free(h);
    free(ids);
}

static void conforms(void **state)
{
    const struct golden *x = *state;
    const char *dir = folder(x);
    char path[1100];
    struct err err = {0};
    struct par *p;
    struct st_set *g;
    struct model *m;

    if (!dir) {
        print_message("skip: conformance/%s is not on this machine (PTQ_SHARED)\n", x->name);
        skip();
    }
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    must(g = st_open(path, &err));
    must(p = par_open(2, &err));
    must(m = model_open(dir, p, &err));
    for (int seq = 0; seq < 2; seq++)
        run_sequence(m, g, seq, x);
    model_close(&m);
    par_close(&p);
    st_close(&g);
}

int main(void)
{
    struct CMUnitTest tests[GOLDENS];
    struct err e = {0};

    for (size_t i = 0; i < GOLDENS; i++)
        tests[i] = (struct CMUnitTest){.name = goldens[i].name,
                                       .test_func = conforms,
                                       .initial_state = (void *)(uintptr_t)&goldens[i]};
    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("conformance", tests, NULL, NULL);
}
