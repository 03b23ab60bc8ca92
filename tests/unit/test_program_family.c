/* SPDX-License-Identifier: Apache-2.0 */
/* test_program_family - a family that only this test knows (pair_model.h), nothing of the product
 * is touched for it: its forward is checked against plain f64 loops; its sites are solved, and
 * what is written loads again with the weights of the commits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/format/coded.h"
#include "../../common/model/config_read.h"
#include "../../common/model/kv_cache.h"
#include "../../common/model/model_parts.h"
#include "../../common/model/residual.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_solution.h"
#include "../../stages/forward/forward.h"
#include "../../stages/reduce/reduce.h"
#include "../../stages/solve/solve.h"
#include "../../stages/write/write.h"
#include "pair_model.h"

/* ---- the forward pass ---- */

enum { T = 40 };

static void ids_make(int32_t *ids)
{
    struct rng r;

    rng_seed(&r, 3, 0);
    for (size_t t = 0; t < T; t++)
        ids[t] = (int32_t)rng_below(&r, VOCAB);
}

/* Gate: numbers of size 1 to 10 through sums of at most 64 f32 terms, a few times over. */
#define GATE 2e-4

static void distance_check(const float *h, double (*want)[D])
{
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < D; i++)
            if (!(fabs((double)h[t * D + i] - want[t][i]) <= GATE))
                fail_msg("token %zu, %zu: %g, not %g", t, i, (double)h[t * D + i], want[t][i]);
}

static void embedded(const int32_t *ids, double (*h)[D])
{
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < D; i++)
            h[t][i] = (double)tensor("model.embed_tokens.weight")[(size_t)ids[t] * D + i];
}

/* At once, and from stop to stop, and with a cache in two pieces. */
static void forward_is_that_of_plain_loops(void **state)
{
    static const int32_t lengths[] = {T}, first[] = {25}, second[] = {T - 25};
    const struct rows all = {.T = T, .nseq = 1, .lengths = lengths},
                      one = {.T = 25, .nseq = 1, .lengths = first},
                      two = {.T = T - 25, .nseq = 1, .lengths = second};
    const size_t slot = 0;
    double want[T][D];
    size_t expert[T], to[EXPERTS] = {0};
    int32_t ids[T];
    struct err err = {0};
    struct par *par = par_open(2, &err);
    struct model *m = model_open(model, par, &err);
    struct kv_cache *kv;
    float *h[3];

    (void)state;
    must(m && (kv = model_cache(m, 1, T, &err)));
    ids_make(ids);
    embedded(ids, want);
    for (size_t i = 0; i < 3; i++) {
        h[i] = run_array(T * D);
        must(model_embed(m, ids, T, h[i], &err) == 0);
    }
    for (size_t b = 0; b < BLOCKS; b++) {
        struct block *x = block_open(m, b, &err);
        void *kept = run_array(T * model_kept(m, DT_F32) / sizeof(float));

        must(x && block_load_all(x, &err) == 0);
        plain_block(b, T, want, expert);
        must(block_forward(x, &all, h[0], &err) == 0);
        distance_check(h[0], want);
        for (size_t s = 0; s <= block_stops(x); s++) {
            must(block_step(x, s, &all, h[1], DT_F32, kept, &err) == 0);
            block_keep(x, s, &all, DT_F32, kept);
        }
        distance_check(h[1], want);
        must(block_decode(x, kv, &slot, &one, h[2], &err) == 0);
        kv_advance(kv, &slot, &one);
        must(block_decode(x, kv, &slot, &two, h[2] + 25 * D, &err) == 0);
        distance_check(h[2], want);
        kv_clear(kv, 0);
        for (size_t t = 0; b == 0 && t < T; t++)
            to[expert[t]]++;
        block_close(&x);
        free(kept);
    }
    assert_true(to[0] > 4 && to[1] > 4); /* else nothing is shown of either */
    for (size_t i = 0; i < 3; i++)
        free(h[i]);
    kv_close(&kv);
    model_close(&m);
    par_close(&par);
}

static void sites_follow_from_the_programs(void **state)
{
    static const char *const names[] = {"attn.qkv",      "expert.0.up",   "expert.1.up", "attn.o",
                                        "expert.0.down", "expert.1.down", "attn.qkv",    "attn.o",
                                        "mlp.up",        "mlp.down"};
    static const size_t stops[] = {0, 0, 0, 1, 1, 1, 0, 1, 2, 3};
    static const int experts[] = {-1, 0, 1, -1, 0, 1, -1, -1, -1, -1};
    struct err err = {0};
    struct par *par = par_open(1, &err);
    struct model *m = model_open(model, par, &err);
    const struct sites *s;

    (void)state;
    must(m);
    s = model_sites(m);
    assert_int_equal(s->count, sizeof names / sizeof names[0]);
    for (size_t i = 0; i < s->count; i++) {
        assert_string_equal(s->site[i].name, names[i]);
        assert_int_equal(s->site[i].stop, stops[i]);
        assert_int_equal(s->site[i].expert, experts[i]);
    }
    assert_string_equal(s->site[2].linear[1].name, "model.layers.0.moe.experts.1.up_proj");
    assert_string_equal(s->site[2].linear[1].whole, "model.layers.0.moe.gate_up");
    model_close(&m);
    par_close(&par);
}

/* ---- through the stages ---- */

struct chain {
    struct par *par;
    struct reduce *reduce;
    struct writer *writer;
    struct msg *commit[16];
    size_t acts[16], rows[16]; /* messages and rows of each site */
};

static int chain_problem(void *ctx, struct msg **problem, struct err *e)
{
    struct chain *c = ctx;
    struct solve_opts so = solve_opts_default();
    struct solve_note note;
    struct solution_view v;
    struct msg *m;

    so.bits = 8;
    so.group = 32;
    if (!(m = solve_problem(&so, problem, c->par, &note, e)))
        return -1;
    if (write_solution(c->writer, &m, e) != 1 || solution_read(m, &v, e) < 0)
        return -1;
    assert_true(v.order < 16 && !c->commit[v.order]);
    c->commit[v.order] = m;
    return 0;
}

static int chain_emit(void *ctx, struct msg **m, struct err *e)
{
    struct chain *c = ctx;
    struct acts_view a;

    if ((*m)->kind == MSG_ACTS) {
        if (acts_read(*m, &a, e) < 0)
            return -1;
        c->acts[a.order]++;
        for (size_t t = 0; t < a.T; t++)
            c->rows[a.order] += a.w ? a.w[t] > 0 : 1;
    }
    return reduce_push(c->reduce, m, e);
}

static int chain_commit(void *ctx, uint64_t order, struct msg **m, struct err *e)
{
    return write_commit(((struct chain *)ctx)->writer, order, m, e);
}

static struct msg *chunk_of(uint64_t i, const int32_t *ids, size_t n)
{
    const int32_t lengths[2] = {(int32_t)n - 1, 1};
    const struct chunk_view v = {.chunk = i,
                                 .chunks = 3,
                                 .lanes = 1,
                                 .vocab = VOCAB,
                                 .T = n,
                                 .nseq = 2,
                                 .ids = ids,
                                 .lengths = lengths};
    struct err err = {0};
    struct msg *m = chunk_write(&v, "test", &err);

    must(m);
    return m;
}

/* What is written has the weights of the commits: codes under the names of the linears, weights
 * where the source has them. */
static void written_check(const struct chain *c, const char *format)
{
    struct err err = {0};
    struct par *par = par_open(1, &err);
    char dir[96];
    struct program programs[2];
    struct model *m;

    snprintf(dir, sizeof dir, "%s/%s", out, format);
    must(m = model_open(dir, par, &err));
    assert_true(model_config(m)->layers <= 2);
    for (size_t b = 0; b < model_config(m)->layers; b++)
        must(family_program(model_config(m), b, &programs[b], &err) == 0);
    for (size_t order = 0; order < model_sites(m)->count; order++) {
        const struct site *s = &model_sites(m)->site[order];
        const struct program *p = &programs[s->block];
        struct solution_view v;

        must(solution_read(c->commit[order], &v, &err) == 0);
        for (size_t i = 0; i < v.nlinears; i++) {
            const struct solution_linear *l = &v.linear[i];
            const struct op_tensor *t =
                &program_linear_of(p, order - model_sites(m)->first[s->block], i)->tensor[0];
            float *got, *want = run_array(l->N * l->K);
            struct coded codes;

            assert_memory_equal(t->name, l->name, strlen(l->name));
            assert_int_equal(st_find(model_tensors(m), t->name) != NULL,
                             strcmp(format, "dense") == 0 && !t->whole);
            must(coded_read(l, &codes, &err) == 0 &&
                 coded_decode(&codes, 0, l->N, want, &err) == 0);
            must(model_load_tensor(m, t, &got, &err) == 0);
            assert_memory_equal(got, want, l->N * l->K * sizeof *want);
            free(want);
            free(got);
        }
    }
    for (size_t b = 0; b < model_config(m)->layers; b++)
        program_release(&programs[b]);
    model_close(&m);
    par_close(&par);
}

static void hidden_of(const char *dir, const int32_t *ids, float **h)
{
    static const int32_t length = T;
    const struct rows r = {.T = T, .nseq = 1, .lengths = &length};
    struct err err = {0};
    struct par *par = par_open(1, &err);
    struct model *m = model_open(dir, par, &err);

    must(m);
    *h = run_hidden(m, &r, ids);
    model_close(&m);
    par_close(&par);
}

/* Both checkpoints say the same, and with 8 bits nearly what the source says. */
static void outputs_check(const int32_t *ids)
{
    float *h[3];
    char dir[96];

    hidden_of(model, ids, &h[0]);
    snprintf(dir, sizeof dir, "%s/gptq", out);
    hidden_of(dir, ids, &h[1]);
    snprintf(dir, sizeof dir, "%s/dense", out);
    hidden_of(dir, ids, &h[2]);
    assert_memory_equal(h[1], h[2], T * D * sizeof **h);
    assert_true(run_distance(h[0], h[1], T * D) > 0);
    assert_true(run_distance(h[0], h[1], T * D) < 0.5);
    for (size_t i = 0; i < 3; i++)
        free(h[i]);
}

static void sites_are_solved_and_written(void **state)
{
    const struct forward_opts fo = {
        .acts = DT_BF16, .order = FORWARD_SITE, .mem = 100, .tmp = root};
    const struct forward_io io_of = {.emit = chain_emit, .commit = chain_commit};
    struct forward_io io = io_of;
    static const int32_t twice[2] = {5, 5}; /* both tokens go to the same expert */
    struct chain c = {0};
    struct err err = {0};
    struct model *m;
    struct forward *f;
    int32_t ids[T];

    (void)state;
    ids_make(ids);
    io.ctx = &c;
    c.par = par_open(2, &err);
    must(c.writer = write_open(
             &(struct write_opts){.model = model, .out = out, .formats = "gptq,dense"}, &err));
    must(c.reduce =
             reduce_open(&(struct reduce_opts){.mem = UINT64_MAX}, c.par, chain_problem, &c, &err));
    must(m = model_open(model, c.par, &err));
    must(f = forward_open(m, &fo, &err));
    for (uint64_t i = 0; i < 3; i++) {
        struct msg *chunk = chunk_of(i, i == 1 ? twice : ids, i == 1 ? 2 : T - (size_t)i);

        must(forward_add(f, &chunk, &err) == 0);
        msg_destroy(&chunk);
    }
    must(forward_run(f, &io, &err) == 0);
    must(reduce_finish(c.reduce, &err) == 0);
    for (size_t i = 0; i < model_sites(m)->count; i++)
        assert_int_equal(c.acts[i], 3); /* a chunk without rows says so */
    assert_int_equal(c.rows[0], T + 2 + T - 2);
    assert_int_equal(c.rows[1] + c.rows[2], c.rows[0]);
    assert_true(c.rows[1] > 0 && c.rows[2] > 0);
    assert_int_equal(c.rows[4], c.rows[1]);
    must(write_finish(c.writer, &err) == 0);
    forward_close(&f);
    model_close(&m);
    reduce_close(&c.reduce);
    write_close(&c.writer);
    written_check(&c, "gptq");
    written_check(&c, "dense");
    outputs_check(ids);
    for (size_t i = 0; i < 16; i++)
        msg_destroy(&c.commit[i]);
    par_close(&c.par);
}

static int count_tensor(void *ctx, const struct residual_tensor *t, struct err *e)
{
    (void)t;
    (void)e;
    ++*(size_t *)ctx;
    return 0;
}

/* No rotation goes through a norm of what joins the stream. */
static void a_norm_before_the_stream_is_refused(void **state)
{
    struct config c;
    struct err err = {0};
    size_t count = 0;

    (void)state;
    must(config_read(model, &c, &err) == 0);
    assert_int_equal(residual_tensors(&c, 0, count_tensor, &count, &err), -1);
    assert_string_equal(err.text, "'model.layers.0.norm_post.weight' (norm): it stands between a "
                                  "linear and the stream");
    assert_int_equal(count, 0);
    must(residual_tensors(&c, 1, count_tensor, &count, &err) == 0);
    assert_true(count >= 9);
    config_release(&c);
}

/* Each way would have rows of its own at an expert. */
static void two_streams_are_refused(void **state)
{
    const struct forward_opts fo = {.acts = DT_BF16, .dual = 1, .mem = 1 << 20, .tmp = root};
    struct err err = {0};
    struct par *par = par_open(1, &err);
    struct model *m = model_open(model, par, &err);

    (void)state;
    must(m);
    assert_null(forward_open(m, &fo, &err));
    assert_non_null(strstr(err.text, "expert.0.up"));
    model_close(&m);
    par_close(&par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_that_of_plain_loops),
        cmocka_unit_test(sites_follow_from_the_programs),
        cmocka_unit_test(sites_are_solved_and_written),
        cmocka_unit_test(two_streams_are_refused),
        cmocka_unit_test(a_norm_before_the_stream_is_refused),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("program_family", tests, make_model, remove_model);
}
