/* SPDX-License-Identifier: Apache-2.0 */
/* config - what config.json says of a decoder-only model; config_read.h fills it.
 *
 * A family (family.h: one descriptor a file, one list) says which model_type / architectures it
 * serves, how tensor names are formed and what its blocks do. Here: llama (Llama 2/3, SmolLM2),
 * mistral (sliding window), qwen3 (q/k norm). Unknown architectures are refused by name, as are
 * features that would change the mathematics and are not implemented (rope types, activations). */
#ifndef PTQ_CONFIG_H
#define PTQ_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/json.h"

enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3 };

struct config {
    char model_type[32];
    char architecture[64];
    size_t d, layers, heads, kv_heads, head_dim, ff, vocab, context;
    double norm_eps;
    int own_head; /* config.json says tied, but the file has another head: tied is 0 */
    int tied, attention_bias /* q k v */, attention_out_bias, mlp_bias, qk_norm;
    size_t window; /* 0: none; key j is visible to i when i - window < j <= i */
    enum rope_type rope;
    double rope_theta, rope_factor, rope_low, rope_high;
    size_t rope_original;
    int64_t bos, eos;  /* -1: none */
    struct json *json; /* the whole file, owned */
};

void config_release(struct config *c);

#endif
