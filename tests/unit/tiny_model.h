/* SPDX-License-Identifier: Apache-2.0 */
/* tiny_model - a made-up Llama folder of two blocks and solutions for its sites, for tests of
 * the writer. Numbers are drawn from the name of what they fill, so two calls give the same
 * bytes. */
#ifndef PTQ_TEST_TINY_MODEL_H
#define PTQ_TEST_TINY_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/base/rng.h"
#include "../../common/model/config.h"
#include "../../common/model/config_read.h"
#include "../../common/format/grid.h"
#include "../../common/model/sites.h"
#include "../../common/tensor/safetensors.h"
#include "../../common/wire/msg_solution.h"

#define TINY_D 64
#define TINY_KV 32
#define TINY_FF 96
#define TINY_VOCAB 40
#define TINY_LAYERS 2
#define TINY_BLOCK_SITES 4 /* attn.qkv, attn.o, mlp.up, mlp.down */
#define TINY_SITES (TINY_LAYERS * TINY_BLOCK_SITES)

static const char tiny_config[] =
    "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"model_type\": \"llama\",\n  "
    "\"hidden_act\": \"silu\",\n"
    "  \"hidden_size\": 64,\n  \"intermediate_size\": 96,\n  \"num_hidden_layers\": 2,\n  "
    "\"num_attention_heads\": 4,\n"
    "  \"num_key_value_heads\": 2,\n  \"vocab_size\": 40,\n  \"max_position_embeddings\": 128,\n"
    "  \"rms_norm_eps\": 1e-06,\n  \"rope_theta\": 10000.0,\n  \"tie_word_embeddings\": true,\n"
    "  \"attention_bias\": true,\n  \"torch_dtype\": \"bfloat16\"\n}\n";

struct tiny_tensor {
    const char *name;       /* %d: the block; without it, once */
    uint64_t rows, columns; /* columns 0: one dimension */
};
static const struct tiny_tensor tiny_tensors[] = {
    {"model.embed_tokens.weight", TINY_VOCAB, TINY_D},
    {"model.norm.weight", TINY_D, 0},
    {"model.layers.%d.input_layernorm.weight", TINY_D, 0},
    {"model.layers.%d.post_attention_layernorm.weight", TINY_D, 0},
    {"model.layers.%d.self_attn.q_proj.weight", TINY_D, TINY_D},
    {"model.layers.%d.self_attn.k_proj.weight", TINY_KV, TINY_D},
    {"model.layers.%d.self_attn.v_proj.weight", TINY_KV, TINY_D},
    {"model.layers.%d.self_attn.o_proj.weight", TINY_D, TINY_D},
    {"model.layers.%d.self_attn.q_proj.bias", TINY_D, 0},
    {"model.layers.%d.self_attn.k_proj.bias", TINY_KV, 0},
    {"model.layers.%d.self_attn.v_proj.bias", TINY_KV, 0},
    {"model.layers.%d.self_attn.o_proj.bias", TINY_D, 0},
    {"model.layers.%d.mlp.gate_proj.weight", TINY_FF, TINY_D},
    {"model.layers.%d.mlp.up_proj.weight", TINY_FF, TINY_D},
    {"model.layers.%d.mlp.down_proj.weight", TINY_D, TINY_FF},
};

static inline void tiny_need(int ok, const struct err *e)
{
    if (!ok) {
        fprintf(stderr, "tiny model: %s\n", e->text);
        exit(111);
    }
}

static inline void tiny_name(const char *pattern, int block, char out[TENSOR_NAME])
{
    const char *at = strstr(pattern, "%d");

    if (at)
        snprintf(out, TENSOR_NAME, "%.*s%d%s", (int)(at - pattern), pattern, block, at + 2);
    else
        snprintf(out, TENSOR_NAME, "%s", pattern);
}

static inline void tiny_fill(struct st_writer *w, const char *name, const struct tiny_tensor *t)
{
    size_t n = (size_t)(t->rows * (t->columns ? t->columns : 1));
    uint16_t *data = malloc(n * sizeof *data);
    struct rng r;
    struct err e = {0};

    rng_seed(&r, hash_bytes(name, strlen(name)), 0);
    for (size_t i = 0; data && i < n; i++)
        data[i] = f32_to_bf16((float)rng_normal(&r) / 8);
    tiny_need(data && st_put(w, name, data, n * sizeof *data, &e) == 0, &e);
    free(data);
}

/* dir with config.json, model.safetensors, and two files that a checkpoint takes along, one that
 * it leaves behind. */
static inline void tiny_model(const char *dir)
{
    char path[512], name[TENSOR_NAME];
    struct st_writer *w;
    struct err e = {0};

    tiny_need(fs_mkdir(dir, &e) == 0, &e);
    snprintf(path, sizeof path, "%s/config.json", dir);
    tiny_need(fs_publish(path, tiny_config, strlen(tiny_config), &e) == 0, &e);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    tiny_need(fs_publish(path, "{\"a\": 1}", 8, &e) == 0, &e);
    snprintf(path, sizeof path, "%s/LICENSE", dir);
    tiny_need(fs_publish(path, "mine\n", 5, &e) == 0, &e);
    snprintf(path, sizeof path, "%s/pytorch_model.bin", dir);
    tiny_need(fs_publish(path, "old", 3, &e) == 0, &e);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    w = st_create(path, &e);
    for (int put = 0; put < 2; put++) {
        for (size_t i = 0; i < sizeof tiny_tensors / sizeof *tiny_tensors; i++) {
            const struct tiny_tensor *t = &tiny_tensors[i];
            const uint64_t shape[2] = {t->rows, t->columns};

            for (int block = 0; block < (strstr(t->name, "%d") ? TINY_LAYERS : 1); block++) {
                tiny_name(t->name, block, name);
                if (put)
                    tiny_fill(w, name, t);
                else
                    tiny_need(st_declare(w, name, DT_BF16, t->columns ? 2 : 1, shape, &e) == 0, &e);
            }
        }
        if (!put)
            tiny_need(st_begin(w, &e) == 0, &e);
    }
    tiny_need(st_publish(&w, &e) == 0, &e);
}

struct tiny_opts {
    int bits;
    int64_t group;
    enum dtype scale_type;
    int asym; /* 0: grid sym; else asym, zeros from [asym, 2^bits), below 0: all 2^(bits-1) */
    double rel_loss;    /* added to that of every linear */
    const char *solver; /* NULL: "gptq" */
};
#define TINY_OPTS                 \
    {                             \
        4, 32, DT_F16, 0, 0, NULL \
    }

static inline void tiny_solve(struct msg *m, const struct solution_linear *l,
                              const struct tiny_opts *o)
{
    const uint64_t codes_shape[2] = {l->N, l->K}, grid_shape[2] = {l->N, l->G};
    char name[TENSOR_NAME + 8];
    uint8_t *codes, *zeros = NULL;
    void *scales;
    struct rng r;
    struct err e = {0};

    rng_seed(&r, hash_bytes(l->name, strlen(l->name)), 1);
    snprintf(name, sizeof name, "%s.codes", l->name);
    tiny_need(!!(codes = msg_add_new(m, name, DT_U8, 2, codes_shape, &e)), &e);
    snprintf(name, sizeof name, "%s.scales", l->name);
    tiny_need(!!(scales = msg_add_new(m, name, o->scale_type, 2, grid_shape, &e)), &e);
    snprintf(name, sizeof name, "%s.zeros", l->name);
    tiny_need(!o->asym || !!(zeros = msg_add_new(m, name, DT_U8, 2, grid_shape, &e)), &e);
    for (size_t i = 0; i < l->N * l->K; i++)
        codes[i] = (uint8_t)rng_below(&r, (uint64_t)1 << o->bits);
    for (size_t i = 0; i < l->N * l->G; i++) {
        float scale = (float)(1 + rng_below(&r, 1000)) / 4096;
        uint64_t top = (uint64_t)1 << o->bits;

        dtype_from_f32(o->scale_type, &scale, 1, (char *)scales + i * dtype_size(o->scale_type));
        if (zeros)
            zeros[i] =
                (uint8_t)(o->asym >= 1 ? (uint64_t)o->asym + rng_below(&r, top - (uint64_t)o->asym)
                                       : top / 2);
    }
}

/* The solution of one site. */
static inline struct msg *tiny_solution(const char *dir, size_t order, const struct tiny_opts *o)
{
    struct config c;
    struct sites sites;
    const struct site *s;
    struct solution_view v;
    struct err e = {0};
    struct json *prov;
    struct msg *m;

    memset(&v, 0, sizeof v);
    tiny_need(config_read(dir, &c, &e) == 0, &e);
    tiny_need(sites_make(&sites, &c, &e) == 0 && order < sites.count, &e);
    s = &sites.site[order];
    prov = json_parse("[{\"stage\":\"solve\",\"bits\":4}]", 28, "prov", &e);
    v.block = s->block;
    v.order = order;
    v.sites = TINY_SITES;
    v.site = s->name;
    v.K = s->inputs;
    v.tokens = 100 + order;
    v.sequences = 3;
    v.sum_w = v.sum_w2 = 100;
    v.solver = o->solver ? o->solver : "gptq";
    v.damp = 0.01;
    v.attempts = 1;
    v.seconds = 0.25;
    v.prov = prov;
    v.nlinears = s->count;
    for (size_t i = 0; i < s->count; i++) {
        struct solution_linear *l = &v.linear[s->count - 1 - i]; /* not in the model's order */

        l->name = s->linear[i].name;
        l->N = s->linear[i].rows;
        l->K = s->inputs;
        l->G = grid_groups(l->K, o->group);
        l->bits = o->bits;
        l->group = o->group;
        l->grid = o->asym ? "asym" : "sym";
        l->loss = 1.0 + (double)i;
        l->rel_loss = o->rel_loss + 0.001 * (double)(order + 1);
        l->asym_loss = 0;
    }
    tiny_need(!!(m = solution_create(&v, "solve", &e)), &e);
    for (size_t i = 0; i < v.nlinears; i++)
        tiny_solve(m, &v.linear[i], o);
    json_destroy(&prov);
    sites_release(&sites);
    config_release(&c);
    return m;
}

#endif
