/* SPDX-License-Identifier: Apache-2.0 */
/* shaped - a model folder with the shapes of a large model and random weights, a few of its blocks.
 *
 *   shaped SHAPE BLOCKS MODEL OUT
 *
 * SHAPE is a row of the table below. Tokenizer and vocabulary are those of MODEL, so its texts are
 * calibration data. Every block costs the same: what a few take says what all take. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "../../common/model/config.h"
#include "../../common/model/config_read.h"
#include "../../common/tensor/dtype.h"
#include "../../common/tensor/safetensors.h"

struct shape {
    const char *name;
    uint64_t hidden, inner, heads, kv_heads, head_dim;
};

static const struct shape shapes[] = {
    {"135m", 576, 1536, 9, 3, 64},  /* SmolLM2 135M */
    {"1b", 2048, 8192, 32, 8, 64},  /* Llama 3.2 1B */
    {"8b", 4096, 14336, 32, 8, 128} /* Llama 3.1 8B */
};

enum { LINEARS = 7, NAME = 96 };

static const char *const linear_name[LINEARS] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

static void linear_dims(const struct shape *s, size_t i, uint64_t dims[2])
{
    const uint64_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    const uint64_t all[LINEARS][2] = {
        {q, s->hidden},        {kv, s->hidden},       {kv, s->hidden},      {s->hidden, q},
        {s->inner, s->hidden}, {s->inner, s->hidden}, {s->hidden, s->inner}};

    memcpy(dims, all[i], sizeof all[i]);
}

/* What each tensor of the model is called, in their order; 0: there is no number i. *ones: it is
 * the weight of a norm. */
static int tensor_at(const struct shape *s, uint64_t blocks, uint64_t vocab, size_t i,
                     char name[NAME], uint64_t dims[2], int *ones)
{
    const size_t each = LINEARS + 2, k = i ? (i - 1) % each : 0, block = i ? (i - 1) / each : 0;

    *ones = 0;
    if (i == 0) {
        snprintf(name, NAME, "model.embed_tokens.weight");
        dims[0] = vocab;
        dims[1] = s->hidden;
    } else if (block < blocks && k < LINEARS) {
        snprintf(name, NAME, "model.layers.%zu.%s.weight", block, linear_name[k]);
        linear_dims(s, k, dims);
    } else if (block < blocks || i == blocks * each + 1) {
        *ones = 1;
        dims[0] = s->hidden;
        dims[1] = 1;
        if (block == blocks)
            snprintf(name, NAME, "model.norm.weight");
        else
            snprintf(name, NAME, "model.layers.%zu.%s_layernorm.weight", block,
                     k == LINEARS ? "input" : "post_attention");
    } else {
        return 0;
    }
    return 1;
}

/* Uniform, of variance 1 / columns: what goes through a linear keeps its size. */
static int put(struct st_writer *w, const char *name, const uint64_t dims[2], int ones,
               struct rng *r, struct err *e)
{
    const double wide = 2 * sqrt(3.0 / (double)dims[1]);
    const size_t n = (size_t)(dims[0] * dims[1]);
    uint16_t *x = mem_raw(n, sizeof *x, e);
    int rc;

    if (!x)
        return -1;
    for (size_t i = 0; i < n; i++)
        x[i] = f32_to_bf16(ones ? 1 : (float)((rng_unit(r) - 0.5) * wide));
    rc = st_put(w, name, x, n * sizeof *x, e);
    free(x);
    return rc;
}

static int weights_write(const struct shape *s, uint64_t blocks, uint64_t vocab, const char *path,
                         struct err *e)
{
    struct st_writer *w = st_create(path, e);
    struct rng r;
    char name[NAME];
    uint64_t dims[2];
    int ones, rc = w ? 0 : -1;

    rng_seed(&r, 1, 0);
    for (size_t i = 0; rc == 0 && tensor_at(s, blocks, vocab, i, name, dims, &ones); i++)
        rc = st_declare(w, name, DT_BF16, ones ? 1 : 2, dims, e);
    rc = rc == 0 ? st_begin(w, e) : rc;
    for (size_t i = 0; rc == 0 && tensor_at(s, blocks, vocab, i, name, dims, &ones); i++)
        rc = put(w, name, dims, ones, &r, e);
    if (rc == 0)
        rc = st_publish(&w, e);
    st_abort(&w);
    return rc;
}

static int config_write(const struct shape *s, uint64_t blocks, uint64_t vocab, const char *path,
                        struct err *e)
{
    char *text = mem_printf(
        e,
        "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"dtype\": "
        "\"bfloat16\", \"hidden_act\": \"silu\", \"hidden_size\": %llu, \"intermediate_size\": "
        "%llu, \"num_attention_heads\": %llu, \"num_key_value_heads\": %llu, \"head_dim\": %llu, "
        "\"num_hidden_layers\": %llu, \"vocab_size\": %llu, \"max_position_embeddings\": 8192, "
        "\"rms_norm_eps\": 1e-05, \"rope_theta\": 500000.0, \"tie_word_embeddings\": true}\n",
        (unsigned long long)s->hidden, (unsigned long long)s->inner, (unsigned long long)s->heads,
        (unsigned long long)s->kv_heads, (unsigned long long)s->head_dim,
        (unsigned long long)blocks, (unsigned long long)vocab);
    int rc = text ? fs_publish(path, text, strlen(text), e) : -1;

    free(text);
    return rc;
}

static int tokenizer_copy(const char *from, const char *to, struct err *e)
{
    static const char *const files[] = {"tokenizer.json", "tokenizer_config.json"};
    int rc = 0;

    for (size_t i = 0; i < sizeof files / sizeof *files && rc == 0; i++) {
        char *a = fs_join(from, files[i], e), *b = fs_join(to, files[i], e);

        rc = a && b ? fs_copy(a, b, e) : -1;
        free(a);
        free(b);
    }
    return rc;
}

static int make(const struct shape *s, uint64_t blocks, const char *model, const char *out,
                struct err *e)
{
    char *config = fs_join(out, "config.json", e), *weights = fs_join(out, "model.safetensors", e);
    struct config c;
    int rc = -1;

    if (config && weights && config_read(model, &c, e) == 0) {
        if (fs_mkdir(out, e) == 0 && tokenizer_copy(model, out, e) == 0 &&
            config_write(s, blocks, c.vocab, config, e) == 0)
            rc = weights_write(s, blocks, c.vocab, weights, e);
        config_release(&c);
    }
    free(config);
    free(weights);
    return rc;
}

int main(int argc, char **argv)
{
    const size_t n = sizeof shapes / sizeof *shapes;
    struct err e = {0};
    size_t i = 0;

    while (argc == 5 && i < n && strcmp(shapes[i].name, argv[1]) != 0)
        i++;
    if (argc != 5 || i == n || atoi(argv[2]) < 1) {
        fputs("usage: shaped 135m|1b|8b BLOCKS MODEL OUT\n", stderr);
        return ERR_USE;
    }
    if (make(&shapes[i], (uint64_t)atoi(argv[2]), argv[3], argv[4], &e) != 0)
        fprintf(stderr, "shaped: fatal: %s\n", e.text);
    return err_exit(&e);
}
