/* SPDX-License-Identifier: Apache-2.0 */
/* block_expert: the rows that an expert has of all tokens. Those that its router sends there are
 * the rows of its site; what a token makes at an expert does not depend on where it is sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/tensor/blas.h"
#include "model_run.h"
#include "shared.h"

enum { T = 21 };

static const char *const families[] = {"mixtral",    "qwen2_moe",  "qwen3_moe",
                                       "glm4_moe",   "gpt_oss",    "deepseek_v3",
                                       "qwen3_next", "gemma4-moe", "qwen3_5_moe"};
enum { FAMILIES = sizeof families / sizeof *families };

/* All rows of the site against those of its router. */
static void compare_routed(struct block *b, const struct site *s, size_t at, const struct rows *r,
                           const float *kept, const float *gathered, float *every)
{
    struct err err = {0};
    struct block_rows some;
    const float *sent;

    must(block_site_rows(b, at, r, DT_F32, &some, &err) == 0);
    sent = kept + some.kept / sizeof *sent;
    must(block_every_row(b, at, r, DT_F32, gathered, every, &err) == 0);
    for (size_t i = 0; i < some.count; i++) {
        const float *row = every + some.token[i] * s->inputs;

        for (size_t k = 0; k < s->inputs; k++)
            if (!(fabs((double)row[k] - (double)sent[i * s->inputs + k]) <=
                  1e-5 * (1 + fabs((double)row[k]))))
                fail_msg("%s: token %zu: %g, not %g", s->name, some.token[i], (double)row[k],
                         (double)sent[i * s->inputs + k]);
    }
}

/* silu(gate x) (up x) of every token, by plain loops. */
static void compare_loops(const struct block *b, const struct site *s, size_t up, size_t d,
                          const float *x, const float *every)
{
    const float *gate = block_linear(b, up, 0), *wide = block_linear(b, up, 1);

    for (size_t t = 0; t < T; t++)
        for (size_t n = 0; n < s->inputs; n++) {
            double g = 0, u = 0, want;

            for (size_t k = 0; k < d; k++) {
                g += (double)gate[n * d + k] * (double)x[t * d + k];
                u += (double)wide[n * d + k] * (double)x[t * d + k];
            }
            want = g / (1 + exp(-g)) * u;
            if (!(fabs(want - (double)every[t * s->inputs + n]) <= 1e-5 * (1 + fabs(want))))
                fail_msg("%s: token %zu: %g, not %g", s->name, t, (double)every[t * s->inputs + n],
                         want);
        }
}

/* The first site of the same expert. */
static size_t first_of(const struct sites *all, size_t block, int expert)
{
    size_t i = all->first[block];

    while (all->site[i].expert != expert)
        i++;
    return i - all->first[block];
}

static size_t run_block(struct model *m, size_t index, const struct rows *r, float *h, int loops)
{
    const struct sites *all = model_sites(m);
    const size_t first = all->first[index], count = all->end[index] - first, d = model_config(m)->d;
    struct err err = {0};
    struct block *b = block_open(m, index, &err);
    float *kept = run_array(T * model_kept(m, DT_F32) / sizeof(float)),
          *before = run_array(T * model_kept(m, DT_F32) / sizeof(float)),
          *every = run_array(T * 4096), *gathered = run_array(T * d);
    size_t compared = 0;

    must(b);
    for (size_t stop = 0; stop < block_stops(b); stop++) {
        must(block_step(b, stop, r, h, DT_F32, before, &err) == 0);
        block_keep(b, stop, r, DT_F32, kept);
        for (size_t i = 0; i < count; i++) {
            const struct site *s = &all->site[first + i];

            if (s->stop != stop || s->expert < 0)
                continue;
            assert_int_equal(block_gathered_width(b, i), d);
            must(block_gathered(b, i, block_gathered_at(b, i, stop) ? stop : stop - 1, r, DT_F32,
                                block_gathered_at(b, i, stop) ? kept : before, gathered,
                                &err) == 0);
            compare_routed(b, s, i, r, kept, gathered, every);
            if (loops && first_of(all, index, s->expert) != i)
                compare_loops(b, s, first_of(all, index, s->expert), d, gathered, every);
            compared++;
        }
        memcpy(before, kept, T * model_kept(m, DT_F32));
        for (size_t i = 0; i < count; i++)
            if (all->site[first + i].stop == stop)
                must(block_load_site(b, i, &err) == 0);
    }
    must(block_step(b, block_stops(b), r, h, DT_F32, before, &err) == 0);
    block_close(&b);
    free(kept);
    free(before);
    free(every);
    free(gathered);
    return compared;
}

static void all_tokens_of_a_family(void **state)
{
    const int32_t lengths[2] = {13, T - 13};
    const struct rows r = {.T = T, .nseq = 2, .lengths = lengths};
    const char *name = *state;
    struct err err = {0};
    char path[128];
    int32_t ids[T];
    size_t compared = 0;
    struct model *m;
    struct par *par;
    float *h;

    snprintf(path, sizeof path, "data/conformance/%s", name);
    shared_or_skip(dir, path);
    must(par = par_open(2, &err));
    must(m = model_open(dir, par, &err));
    for (int32_t t = 0; t < T; t++)
        ids[t] = 4 + t * 37 % 250;
    h = run_array(T * model_config(m)->d);
    must(model_embed(m, ids, T, h, &err) == 0);
    for (size_t i = 0; i < model_config(m)->layers; i++)
        compared += run_block(m, i, &r, h, strcmp(name, "qwen3_moe") == 0);
    assert_true(compared >= 8);
    free(h);
    model_close(&m);
    par_close(&par);
}

int main(void)
{
    struct CMUnitTest tests[FAMILIES];
    struct err e = {0};

    for (size_t i = 0; i < FAMILIES; i++)
        tests[i] = (struct CMUnitTest){.name = families[i],
                                       .test_func = all_tokens_of_a_family,
                                       .initial_state = (void *)(uintptr_t)families[i]};
    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("block_expert", tests, NULL, NULL);
}
