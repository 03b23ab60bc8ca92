/* SPDX-License-Identifier: Apache-2.0 */
/* pair_model - a family that only a test knows, a checkpoint of it, and its blocks as plain f64
 * loops. The list of families stands here instead of the product's (family_list.c).
 *
 * Even blocks: three norms, attention and experts beside each other on the same stream, q, k and
 * v in one tensor, two experts of which each token gets one, their matrices stacked. Odd blocks:
 * a dense MLP behind attention with a window. Include after cmocka.h. */
#ifndef PTQ_TEST_PAIR_MODEL_H
#define PTQ_TEST_PAIR_MODEL_H

#include "../../common/base/fs.h"
#include "../../common/base/rng.h"
#include "../../common/model/family.h"
#include "../../common/model/program_build.h"
#include "../../common/tensor/safetensors.h"
#include "model_run.h"

enum { D = 32, HEADS = 2, KV = 1, HD = 16, FF = 64, EXPERTS = 2, VOCAB = 24, BLOCKS = 2 };
enum { NQ = HEADS * HD, NK = KV * HD, QKV = NQ + 2 * NK, WINDOW = 5 };
#define EPS 1e-5

/* ---- the family ---- */

static int settle(struct config *c, const char *what, struct err *e)
{
    (void)what;
    (void)e;
    c->norm.eps = EPS;
    c->window = WINDOW;
    for (size_t i = 1; i < c->layers; i += 2)
        c->block[i] |= BLOCK_WINDOW;
    return 0;
}

static int fused_attention(const struct config *c, struct program *p, int x)
{
    const struct attention_shape shape = {.heads = HEADS, .kv_heads = KV, .head_dim = HD};
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
    program_rope(p, part[0], HEADS, &c->rope);
    program_rope(p, part[1], KV, &c->rope);
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
        family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "norm_attn", &c->norm), NULL);
        family_mlp(c, p, program_norm(p, PROGRAM_STREAM, "norm_mlp", &c->norm), NULL);
        return;
    }
    x = program_norm(p, PROGRAM_STREAM, "norm_attn", &c->norm);
    m = program_norm(p, PROGRAM_STREAM, "norm_moe", &c->norm);
    a = program_linear(p, m, &(struct program_linear){.name = "moe.router", .rows = EXPERTS});
    route = program_route(p, a, 1, 0);
    rows = program_gather(p, m, route);
    x = fused_attention(c, p, x);
    gate = program_slot(p, FF, route);
    up = program_slot(p, FF, route);
    down = program_slot(p, D, route);
    expert_linears(p, rows, gate, "expert.%zu.up", "gate_proj", FF, "moe.gate_up", 0, 2 * FF);
    expert_linears(p, rows, up, "expert.%zu.up", "up_proj", FF, "moe.gate_up", FF, 2 * FF);
    program_gate(p, gate, up, c->activation);
    a = program_linear(
        p, x, &(struct program_linear){.name = "attn.o_proj", .rows = D, .site = "attn.o"});
    expert_linears(p, gate, down, "expert.%zu.down", "down_proj", D, "moe.down", 0, D);
    program_add(p, PROGRAM_STREAM, program_norm(p, a, "norm_post", &c->norm), 1);
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

#endif
