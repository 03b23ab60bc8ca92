/* SPDX-License-Identifier: Apache-2.0 */
/* generate: greedy tokens are the likeliest ones of the full forward pass at every step, for
 * every family, behind long prompts and with sequences that come and go; no byte depends on
 * threads or memory; ends; draws from logits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/model/kv_cache.h"
#include "../../common/tensor/blas.h"
#include "../../stages/generate/generate.h"
#include "model_run.h"

#define CONFORMANCE "tests/golden/conformance/"
#define GATE (20 * 3.02e-5) /* logits, as in test_model: the largest of the four families */

enum { PROMPTS = 5, LONGEST = 440 };

struct kept {
    size_t n, prompt[16], count[16];
    int32_t ids[16][2 * LONGEST];
};

static int keep(void *ctx, size_t i, const int32_t *ids, size_t prompt, size_t count, struct err *e)
{
    struct kept *k = ctx;

    (void)e;
    assert_int_equal(i, k->n); /* in order */
    assert_true(i < 16 && count <= 2 * LONGEST);
    k->prompt[i] = prompt;
    k->count[i] = count;
    memcpy(k->ids[i], ids, count * sizeof *ids);
    k->n++;
    return 0;
}

static int32_t filler[LONGEST];
/* The first four together are more than the rows of a step. */
static const struct prompt prompts[PROMPTS] = {
    {filler, LONGEST}, {filler + 7, 1}, {filler + 11, 400}, {filler + 1, 430}, {filler + 2, 17}};

static int generate(const char *dir, size_t threads, size_t nprompts, const struct generate_opts *o,
                    struct kept *k, struct generate_stats *stats, struct err *e)
{
    struct par *par = par_open(threads, e);
    struct model *m = model_open(dir, par, e);
    const struct generate_io io = {.ctx = k, .take = keep};
    int rc;

    if (!m)
        fail_msg("%s", e->text);
    for (size_t t = 0; t < LONGEST; t++)
        filler[t] = (int32_t)(t * t * 13 % 317 + 1);
    memset(k, 0, sizeof *k);
    rc = generate_run(m, par, prompts, nprompts, o, &io, stats, e);
    model_close(&m);
    par_close(&par);
    return rc;
}

static void nothing_to_do_is_refused(void **state)
{
    struct generate_opts o = {.count = 1, .tokens = 1, .slots = 0, .pick = {.top_p = 1}};
    static struct kept k;
    struct generate_stats stats;
    struct err e = {0};
    const struct prompt empty = {filler, 0};
    struct par *par = par_open(1, &e);
    struct model *m = model_open(CONFORMANCE "llama3", par, &e);
    struct prompt far = {NULL, model_config(m)->context};

    (void)state;
    assert_int_equal(generate(CONFORMANCE "llama3", 1, 1, &o, &k, &stats, &e), -1);
    o.slots = 1;
    assert_int_equal(generate(CONFORMANCE "llama3", 1, 0, &o, &k, &stats, &e), -1);
    assert_int_equal(generate_run(m, par, &empty, 1, &o, NULL, &stats, &e), -1);
    assert_non_null(strstr(e.text, "empty"));
    assert_int_equal(generate_run(m, par, &far, 1, &o, NULL, &stats, &e), -1);
    assert_non_null(strstr(e.text, "context"));
    filler[0] = 320;
    assert_int_equal(generate_run(m, par, prompts, 1, &o, NULL, &stats, &e), -1);
    assert_non_null(strstr(e.text, "320"));
    model_close(&m);
    par_close(&par);
}

static void a_full_cache_is_refused(void **state)
{
    struct err err = {0};
    struct par *par = par_open(1, &err);
    struct model *m = model_open(CONFORMANCE "llama3", par, &err);
    struct kv_cache *kv = model_cache(m, 2, 3, &err);
    const int32_t length = 2;
    const struct rows r = {.T = 2, .nseq = 1, .lengths = &length};
    const size_t slot = 1;
    float *h = run_array(2 * 64);
    struct block *b = block_open(m, 0, &err);

    (void)state;
    must(kv && b);
    must(block_load_all(b, &err) == 0);
    memset(h, 0, 2 * 64 * sizeof *h);
    must(block_decode(b, kv, &slot, &r, h, &err) == 0);
    assert_int_equal(kv_length(kv, 1), 0);
    kv_advance(kv, &slot, &r);
    assert_int_equal(kv_length(kv, 1), 2);
    assert_int_equal(block_decode(b, kv, &slot, &r, h, &err), -1);
    assert_non_null(strstr(err.text, "room"));
    kv_clear(kv, 1);
    assert_int_equal(block_decode(b, kv, &slot, &r, h, &err), 0);
    assert_null(model_cache(m, SIZE_MAX / 8, SIZE_MAX / 8, &err));
    block_close(&b);
    kv_close(&kv);
    kv_close(NULL);
    free(h);
    model_close(&m);
    par_close(&par);
}

/* Both logits may be off by GATE. */
static void assert_likeliest(struct model *m, const struct kept *k, size_t i)
{
    const size_t V = model_config(m)->vocab, T = k->count[i];
    float *logits = run_logits(m, k->ids[i], T);

    for (size_t t = k->prompt[i]; t < T; t++) {
        const float *row = logits + (t - 1) * V;

        if ((double)row[run_argmax(row, V)] - (double)row[k->ids[i][t]] > 2 * GATE)
            fail_msg("sequence %zu, token %zu: %d with %g, but %zu has %g", i, t, k->ids[i][t],
                     (double)row[k->ids[i][t]], run_argmax(row, V),
                     (double)row[run_argmax(row, V)]);
    }
    free(logits);
}

static void greedy_is_the_full_forward(void **state)
{
    static const char *const names[] = {"llama3", "llama-tied", "mistral", "qwen3"};
    static struct kept k;
    struct generate_opts o = {
        .count = 7, .tokens = 60, .slots = 4, .mem = UINT64_MAX, .pick = {.top_p = 1}};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct err err = {0};
        struct generate_stats stats;
        char dir[128];
        struct par *par = par_open(2, &err);
        struct model *m;

        snprintf(dir, sizeof dir, CONFORMANCE "%s", names[i]);
        must(m = model_open(dir, par, &err));
        if (generate(dir, 2, PROMPTS, &o, &k, &stats, &err) != 0)
            fail_msg("%s: %s", names[i], err.text);
        assert_int_equal(k.n, 7);
        assert_int_equal(stats.tokens, 7 * 60);
        for (size_t s = 0; s < k.n; s++) {
            assert_int_equal(k.count[s], prompts[s % PROMPTS].count + 60);
            assert_memory_equal(k.ids[s], prompts[s % PROMPTS].ids, k.prompt[s] * sizeof(int32_t));
            assert_likeliest(m, &k, s);
        }
        model_close(&m);
        par_close(&par);
    }
}

static void same_bytes(void **state)
{
    static struct kept a, b;
    struct generate_opts o = {.count = 9,
                              .tokens = 30,
                              .slots = 4,
                              .seed = 5,
                              .mem = UINT64_MAX,
                              .pick = {1.5, 0.95, 200}};
    struct generate_stats stats;
    struct err err = {0};

    (void)state;
    must(generate(CONFORMANCE "mistral", 1, 3, &o, &a, &stats, &err) == 0);
    assert_int_equal(stats.held, stats.blocks);
    o.mem = 0;
    must(generate(CONFORMANCE "mistral", 3, 3, &o, &b, &stats, &err) == 0);
    assert_int_equal(stats.held, 0);
    assert_memory_equal(&a, &b, sizeof a);
    /* the same prompt, another stream */
    assert_memory_not_equal(a.ids[0] + LONGEST, a.ids[3] + LONGEST, 30 * sizeof(int32_t));
    o.seed = 6;
    must(generate(CONFORMANCE "mistral", 3, 3, &o, &b, &stats, &err) == 0);
    assert_memory_not_equal(&a, &b, sizeof a);
}

static void ends_at_stops_and_context(void **state)
{
    static struct kept k, all;
    static int32_t stops[2] = {-1, -1};
    struct generate_opts o = {
        .count = 1, .tokens = 20, .slots = 1, .mem = UINT64_MAX, .pick = {.top_p = 1}};
    struct generate_stats stats;
    struct err err = {0};
    size_t at = LONGEST;

    (void)state;
    must(generate(CONFORMANCE "llama3", 1, 1, &o, &all, &stats, &err) == 0);
    assert_int_equal(stats.stopped, 0);
    stops[1] = all.ids[0][LONGEST + 9];
    while (all.ids[0][at] != stops[1])
        at++;
    o.stops = stops;
    o.nstops = 2;
    must(generate(CONFORMANCE "llama3", 1, 1, &o, &k, &stats, &err) == 0);
    assert_int_equal(stats.stopped, 1);
    assert_int_equal(k.count[0], at + 1); /* the stop itself is there */
    assert_memory_equal(k.ids[0], all.ids[0], (at + 1) * sizeof(int32_t));
    o.nstops = 0;
    o.tokens = 100;
    must(generate(CONFORMANCE "llama3", 1, 1, &o, &k, &stats, &err) == 0);
    assert_int_equal(stats.cut, 1);
    assert_int_equal(k.count[0], 512);
    o.vocab = 5; /* what lies above is never drawn */
    must(generate(CONFORMANCE "llama3", 1, 1, &o, &k, &stats, &err) == 0);
    for (size_t t = LONGEST; t < 512; t++)
        assert_in_range(k.ids[0][t], 0, 4);
}

/* ---- draws ---- */

static const float logits[6] = {0.0f, 2.0f, 1.0f, 2.0f, -1.0f, 1.0f};

static void count_draws(const struct pick_opts *o, size_t n, double *share)
{
    struct pick_item work[6];
    struct rng r;

    rng_seed(&r, 3, 0);
    memset(share, 0, 6 * sizeof *share);
    for (size_t i = 0; i < n; i++)
        share[pick_token(logits, 6, o, &r, work)] += 1;
    for (size_t i = 0; i < 6; i++)
        share[i] /= (double)n;
}

/* Gate: 5 standard deviations of a share of 40000 draws. */
static void assert_shares(const struct pick_opts *o, const int *in, double temperature)
{
    double share[6], total = 0;

    count_draws(o, 40000, share);
    for (size_t i = 0; i < 6; i++)
        total += in[i] ? exp((double)logits[i] / temperature) : 0;
    for (size_t i = 0; i < 6; i++) {
        double p = in[i] ? exp((double)logits[i] / temperature) / total : 0;

        assert_true(fabs(share[i] - p) <= 5 * sqrt(p * (1 - p) / 40000));
    }
}

static void draws_follow_the_distribution(void **state)
{
    struct rng a, b;

    (void)state;
    assert_shares(&(struct pick_opts){1, 1, 0}, (const int[]){1, 1, 1, 1, 1, 1}, 1);
    assert_shares(&(struct pick_opts){0.5, 1, 6}, (const int[]){1, 1, 1, 1, 1, 1}, 0.5);
    /* 2 and 5 are equal: the lower id */
    assert_shares(&(struct pick_opts){2, 1, 3}, (const int[]){0, 1, 1, 1, 0, 0}, 2);
    /* shares of the two largest: 7.39 each of 21.6, together 0.685; the third has 2.72 */
    assert_shares(&(struct pick_opts){1, 0.68, 0}, (const int[]){0, 1, 0, 1, 0, 0}, 1);
    assert_shares(&(struct pick_opts){1, 0.69, 0}, (const int[]){0, 1, 1, 1, 0, 0}, 1);
    assert_shares(&(struct pick_opts){1, 1e-6, 0}, (const int[]){0, 1, 0, 0, 0, 0}, 1);
    assert_shares(&(struct pick_opts){1, 0.9, 1}, (const int[]){0, 1, 0, 0, 0, 0}, 1);
    /* of the three largest (17.5) the first two have 0.845 */
    assert_shares(&(struct pick_opts){1, 0.84, 3}, (const int[]){0, 1, 0, 1, 0, 0}, 1);
    assert_shares(&(struct pick_opts){1, 0.85, 3}, (const int[]){0, 1, 1, 1, 0, 0}, 1);
    rng_seed(&a, 1, 1);
    b = a;
    assert_int_equal(pick_token(logits, 6, &(struct pick_opts){0, 1, 0}, &a, NULL), 1);
    assert_memory_equal(&a, &b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do_is_refused),
        cmocka_unit_test(a_full_cache_is_refused),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(ends_at_stops_and_context),
        cmocka_unit_test(greedy_is_the_full_forward),
        cmocka_unit_test(same_bytes),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("generate", tests, NULL, NULL);
}
