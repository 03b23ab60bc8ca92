/* SPDX-License-Identifier: Apache-2.0 */
/* test_program_family - a family that only this test knows: its list stands here instead of the
 * product's (family_list.c), nothing else of the product is touched.
 *
 * Even blocks: three norms, attention and experts beside each other on the same stream, q, k and
 * v in one tensor, two experts of which each token gets one, their matrices stacked. Odd blocks:
 * a dense MLP behind attention with a window. Its forward is checked against plain f64 loops; its
 * sites are solved, and what is written loads again with the weights of the commits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../common/base/fs.h"
#include "../../common/base/rng.h"
#include "../../common/format/coded.h"
#include "../../common/model/family.h"
#include "../../common/model/kv_cache.h"
#include "../../common/model/model_parts.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_solution.h"
#include "../../stages/forward/forward.h"
#include "../../stages/reduce/reduce.h"
#include "../../stages/solve/solve.h"
#include "../../stages/write/write.h"
#include "model_run.h"

enum { D = 32, HEADS = 2, KV = 1, HD = 16, FF = 64, EXPERTS = 2, VOCAB = 24, BLOCKS = 2 };
enum { NQ = HEADS * HD, NK = KV * HD, QKV = NQ + 2 * NK, WINDOW = 5 };
#define EPS 1e-5

/* ---- the family ---- */

static int settle(struct config *c, const char *what, struct err *e)
{
    (void)what;
    (void)e;
    c->window = 0;
    return 0;
}

static int fused_attention(const struct config *c, struct program *p, int x)
{
    const struct attention_shape shape = {HEADS, KV, HD, 0};
    const struct rope_spec rope = rope_spec_of(c);
    struct program_linear l = {
        .site = "attn.qkv", .fused = "qkv_proj", .whole = "attn.qkv_proj.weight", .total = QKV};
    static const char *const names[3] = {"attn.q_proj", "attn.k_proj", "attn.v_proj"};
    int part[3];

    for (size_t i = 0; i < 3; i++) {
        l.name = names[i];
        l.rows = i ? NK : NQ;
        part[i] = program_linear(p, x, &l);
        l.first += l.rows;
    }
    program_rope(p, part[0], HEADS, &rope);
    program_rope(p, part[1], KV, &rope);
    return program_attention(p, part[0], part[1], part[2], &shape);
}

static void expert_linears(struct program *p, int in, int to, const char *site, const char *name,
                           size_t rows, const char *whole, size_t first, size_t total)
{
    char full[64];

    for (size_t e = 0; e < EXPERTS; e++) {
        snprintf(full, sizeof full, "moe.experts.%zu.%s", e, name);
        program_linear_expert(p, in, to, e,
                              &(struct program_linear){.name = full,
                                                       .rows = rows,
                                                       .site = site,
                                                       .whole = whole,
                                                       .first = first,
                                                       .total = total,
                                                       .stacked = EXPERTS,
                                                       .which = e});
    }
}

static void build(const struct config *c, size_t block, struct program *p)
{
    int x, m, route, rows, gate, up, down, a;

    if (block % 2) {
        family_attention(c, p, program_norm(p, PROGRAM_STREAM, "norm_attn", EPS), WINDOW, 0);
        family_mlp(c, p, program_norm(p, PROGRAM_STREAM, "norm_mlp", EPS));
        return;
    }
    x = program_norm(p, PROGRAM_STREAM, "norm_attn", EPS);
    m = program_norm(p, PROGRAM_STREAM, "norm_moe", EPS);
    a = program_linear(p, m, &(struct program_linear){.name = "moe.router", .rows = EXPERTS});
    route = program_route(p, a, 1, 0);
    rows = program_gather(p, m, route);
    x = fused_attention(c, p, x);
    gate = program_slot(p, FF, route);
    up = program_slot(p, FF, route);
    down = program_slot(p, D, route);
    expert_linears(p, rows, gate, "expert.%zu.up", "gate_proj", FF, "moe.gate_up", 0, 2 * FF);
    expert_linears(p, rows, up, "expert.%zu.up", "up_proj", FF, "moe.gate_up", FF, 2 * FF);
    program_gate(p, gate, up);
    a = program_linear(
        p, x, &(struct program_linear){.name = "attn.o_proj", .rows = D, .site = "attn.o"});
    expert_linears(p, gate, down, "expert.%zu.down", "down_proj", D, "moe.down", 0, D);
    program_add(p, PROGRAM_STREAM, program_norm(p, a, "norm_post", EPS));
    program_scatter(p, down, route, PROGRAM_STREAM);
}

static const struct family pair = {.model_type = "pair",
                                   .architecture = "PairForCausalLM",
                                   FAMILY_LLAMA_ENDS,
                                   .settle = settle,
                                   .build = build};

const struct family *family_at(size_t i)
{
    return i == 0 ? &pair : NULL;
}

/* ---- a checkpoint ---- */

static const char config[] =
    "{\"architectures\": [\"PairForCausalLM\"], \"model_type\": \"pair\", \"hidden_size\": 32, "
    "\"intermediate_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 2, "
    "\"num_key_value_heads\": 1, \"head_dim\": 16, \"vocab_size\": 24, "
    "\"max_position_embeddings\": 64, \"tie_word_embeddings\": true}\n";

struct made {
    const char *name;
    int ndim;
    uint64_t shape[3];
};
static const struct made made[] = {
    {"model.embed_tokens.weight", 2, {VOCAB, D}},
    {"model.norm.weight", 1, {D}},
    {"model.layers.0.norm_attn.weight", 1, {D}},
    {"model.layers.0.norm_moe.weight", 1, {D}},
    {"model.layers.0.norm_post.weight", 1, {D}},
    {"model.layers.0.attn.qkv_proj.weight", 2, {QKV, D}},
    {"model.layers.0.attn.o_proj.weight", 2, {D, NQ}},
    {"model.layers.0.moe.router.weight", 2, {EXPERTS, D}},
    {"model.layers.0.moe.gate_up", 3, {EXPERTS, 2 * FF, D}},
    {"model.layers.0.moe.down", 3, {EXPERTS, D, FF}},
    {"model.layers.1.norm_attn.weight", 1, {D}},
    {"model.layers.1.norm_mlp.weight", 1, {D}},
    {"model.layers.1.self_attn.q_proj.weight", 2, {NQ, D}},
    {"model.layers.1.self_attn.k_proj.weight", 2, {NK, D}},
    {"model.layers.1.self_attn.v_proj.weight", 2, {NK, D}},
    {"model.layers.1.self_attn.o_proj.weight", 2, {D, NQ}},
    {"model.layers.1.mlp.gate_proj.weight", 2, {FF, D}},
    {"model.layers.1.mlp.up_proj.weight", 2, {FF, D}},
    {"model.layers.1.mlp.down_proj.weight", 2, {D, FF}},
};
enum { MADE = sizeof made / sizeof made[0] };
static float *values[MADE];

static char root[] = "/tmp/ptq-pair-XXXXXX", model[64], out[64];

static const float *tensor(const char *name)
{
    for (size_t i = 0; i < MADE; i++)
        if (strcmp(made[i].name, name) == 0)
            return values[i];
    fail_msg("no tensor '%s'", name);
    return NULL;
}

static size_t numbers(const struct made *t)
{
    size_t n = 1;

    for (int i = 0; i < t->ndim; i++)
        n *= (size_t)t->shape[i];
    return n;
}

static int make_model(void **state)
{
    struct err err = {0};
    char path[128];
    struct st_writer *w;
    struct rng r;

    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(model, sizeof model, "%s/model", root);
    snprintf(out, sizeof out, "%s/out", root);
    must(fs_mkdir(model, &err) == 0);
    snprintf(path, sizeof path, "%s/config.json", model);
    must(fs_publish(path, config, strlen(config), &err) == 0);
    snprintf(path, sizeof path, "%s/model.safetensors", model);
    must(w = st_create(path, &err));
    rng_seed(&r, 7, 0);
    for (size_t i = 0; i < MADE; i++) {
        const size_t n = numbers(&made[i]);

        values[i] = run_array(n);
        for (size_t k = 0; k < n; k++)
            values[i][k] = (made[i].ndim == 1 ? 1.0f : 0.0f) +
                           (float)rng_normal(&r) * (made[i].ndim == 1 ? 0.1f : 0.25f);
        must(st_declare(w, made[i].name, DT_F32, made[i].ndim, made[i].shape, &err) == 0);
    }
    must(st_begin(w, &err) == 0);
    for (size_t i = 0; i < MADE; i++)
        must(st_put(w, made[i].name, values[i], numbers(&made[i]) * sizeof(float), &err) == 0);
    must(st_publish(&w, &err) == 0);
    return 0;
}

static int remove_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < MADE; i++)
        free(values[i]);
    return fs_remove_tree(root, NULL);
}

/* ---- plain loops ---- */

static void plain_norm(const double *x, const float *w, double *y)
{
    double sum = 0;

    for (size_t i = 0; i < D; i++)
        sum += x[i] * x[i];
    for (size_t i = 0; i < D; i++)
        y[i] = (double)w[i] * x[i] / sqrt(sum / D + EPS);
}

static void plain_linear(const double *x, const float *w, size_t N, size_t K, double *y)
{
    for (size_t n = 0; n < N; n++) {
        y[n] = 0;
        for (size_t k = 0; k < K; k++)
            y[n] += x[k] * (double)w[n * K + k];
    }
}

static void plain_rope(double *x, size_t heads, size_t position)
{
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < HD / 2; i++) {
            const double a = (double)position * pow(10000.0, -2.0 * (double)i / HD);
            double *u = &x[h * HD + i], *v = u + HD / 2, was = *u;

            *u = was * cos(a) - *v * sin(a);
            *v = *v * cos(a) + was * sin(a);
        }
}

/* qkv [n, QKV], rotated; of row t into a [NQ] */
static void plain_attention(double (*qkv)[QKV], size_t t, size_t window, double *a)
{
    for (size_t h = 0; h < HEADS; h++) {
        double p[64], sum = 0;
        const size_t low = window && t + 1 > window ? t + 1 - window : 0;

        for (size_t j = low; j <= t; j++) {
            double dot = 0;

            for (size_t k = 0; k < HD; k++)
                dot += qkv[t][h * HD + k] * qkv[j][NQ + k];
            sum += p[j] = exp(dot / sqrt(HD));
        }
        for (size_t k = 0; k < HD; k++) {
            a[h * HD + k] = 0;
            for (size_t j = low; j <= t; j++)
                a[h * HD + k] += p[j] / sum * qkv[j][NQ + NK + k];
        }
    }
}

/* y += weight x the gated MLP of x */
static void plain_mlp(const double *x, const float *gate, const float *up, const float *down,
                      double weight, double *y)
{
    double g[FF], u[FF], d[D];

    plain_linear(x, gate, FF, D, g);
    plain_linear(x, up, FF, D, u);
    for (size_t i = 0; i < FF; i++)
        g[i] = g[i] / (1 + exp(-g[i])) * u[i];
    plain_linear(g, down, D, FF, d);
    for (size_t i = 0; i < D; i++)
        y[i] += weight * d[i];
}

static size_t plain_moe(const double *h, double *y)
{
    double m[D], logit[EXPERTS];
    const float *gate_up = tensor("model.layers.0.moe.gate_up");
    size_t e;

    plain_norm(h, tensor("model.layers.0.norm_moe.weight"), m);
    plain_linear(m, tensor("model.layers.0.moe.router.weight"), EXPERTS, D, logit);
    e = logit[1] > logit[0];
    plain_mlp(m, gate_up + e * 2 * FF * D, gate_up + (e * 2 + 1) * FF * D,
              tensor("model.layers.0.moe.down") + e * D * FF,
              1 / (1 + exp(logit[1 - e] - logit[e])), y);
    return e;
}

static void plain_block(size_t block, size_t T, double (*h)[D], size_t *expert)
{
    double qkv[64][QKV], x[D], a[NQ], o[D];

    for (size_t t = 0; t < T; t++) {
        plain_norm(
            h[t],
            tensor(block ? "model.layers.1.norm_attn.weight" : "model.layers.0.norm_attn.weight"),
            x);
        if (block) {
            plain_linear(x, tensor("model.layers.1.self_attn.q_proj.weight"), NQ, D, qkv[t]);
            plain_linear(x, tensor("model.layers.1.self_attn.k_proj.weight"), NK, D, qkv[t] + NQ);
            plain_linear(x, tensor("model.layers.1.self_attn.v_proj.weight"), NK, D,
                         qkv[t] + NQ + NK);
        } else
            plain_linear(x, tensor("model.layers.0.attn.qkv_proj.weight"), QKV, D, qkv[t]);
        plain_rope(qkv[t], HEADS, t);
        plain_rope(qkv[t] + NQ, KV, t);
    }
    for (size_t t = 0; t < T; t++) {
        double y[D] = {0};

        plain_attention(qkv, t, block ? WINDOW : 0, a);
        plain_linear(a,
                     tensor(block ? "model.layers.1.self_attn.o_proj.weight"
                                  : "model.layers.0.attn.o_proj.weight"),
                     D, NQ, o);
        if (!block) {
            plain_norm(o, tensor("model.layers.0.norm_post.weight"), x);
            memcpy(o, x, sizeof o);
            expert[t] = plain_moe(h[t], y);
        }
        for (size_t i = 0; i < D; i++)
            h[t][i] += o[i] + y[i];
        if (!block)
            continue;
        plain_norm(h[t], tensor("model.layers.1.norm_mlp.weight"), x);
        plain_mlp(x, tensor("model.layers.1.mlp.gate_proj.weight"),
                  tensor("model.layers.1.mlp.up_proj.weight"),
                  tensor("model.layers.1.mlp.down_proj.weight"), 1, h[t]);
    }
}

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
    const struct rows all = {T, 1, lengths}, one = {25, 1, first}, two = {T - 25, 1, second};
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
    must(m && (kv = kv_open(model_config(m), 1, T, &err)));
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

/* What is written has the weights of the commits, under the names of the linears. */
static void written_check(const struct chain *c, const char *format)
{
    struct err err = {0};
    struct par *par = par_open(1, &err);
    char dir[96];
    struct model *m;

    snprintf(dir, sizeof dir, "%s/%s", out, format);
    must(m = model_open(dir, par, &err));
    for (size_t order = 0; order < model_sites(m)->count; order++) {
        struct solution_view v;

        must(solution_read(c->commit[order], &v, &err) == 0);
        for (size_t i = 0; i < v.nlinears; i++) {
            const struct solution_linear *l = &v.linear[i];
            char name[256];
            struct op_tensor t = {.name = name, .ndim = 2, .shape = {l->N, l->K}};
            float *got, *want = run_array(l->N * l->K);
            struct coded codes;

            snprintf(name, sizeof name, "%s.weight", l->name);
            must(coded_read(l, &codes, &err) == 0 &&
                 coded_decode(&codes, 0, l->N, want, &err) == 0);
            must(model_load_tensor(m, &t, &got, &err) == 0);
            assert_memory_equal(got, want, l->N * l->K * sizeof *want);
            free(want);
            free(got);
        }
    }
    model_close(&m);
    par_close(&par);
}

static void hidden_of(const char *dir, const int32_t *ids, float **h)
{
    static const int32_t length = T;
    const struct rows r = {T, 1, &length};
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

        must(forward_add(f, chunk, &err) == 0);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_that_of_plain_loops),
        cmocka_unit_test(sites_follow_from_the_programs),
        cmocka_unit_test(sites_are_solved_and_written),
        cmocka_unit_test(two_streams_are_refused),
    };
    struct err e = {0};

    (void)argc;
    if (blas_start(argv, &e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("program_family", tests, make_model, remove_model);
}
