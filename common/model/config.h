/* SPDX-License-Identifier: Apache-2.0 */
/* config - what config.json says of a decoder-only model, or of the decoder of a model that sees
 * images; config_read.h fills it.
 *
 * A family (family.h: one descriptor a file, one list) says which model_type / architectures it
 * serves, how tensor names are formed and what its blocks do. Unknown architectures are refused
 * by name, as are features that would change the mathematics and are not implemented (rope types,
 * activations). */
#ifndef PTQ_CONFIG_H
#define PTQ_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/json.h"
#include "activation.h"
#include "rope.h"

struct family_text; /* family.h */
struct vision;      /* vision.h */

enum norm_kind {
    NORM_RMS,     /* w x / sqrt(mean x^2 + eps) */
    NORM_RMS_ONE, /* the same, times 1 + w */
    NORM_MEAN     /* the mean is taken off before: layer norm without a bias */
};
struct norm_spec {
    enum norm_kind kind;
    double eps;
};

enum qk_norm { QK_NORM_NONE, QK_NORM_HEADS /* each head by itself */, QK_NORM_ROWS };

enum { BLOCK_WINDOW = 1, BLOCK_NO_ROPE = 2, BLOCK_EXPERTS = 4, BLOCK_DELTA = 8 };

struct config {
    char model_type[32];
    char architecture[64];
    size_t d, layers, heads, kv_heads, head_dim, ff, vocab, context;
    struct norm_spec norm;
    enum activation activation;
    int image_blocks; /* tokens of one image see each other */
    size_t deepstack; /* blocks behind which the tower adds to tokens of images */
    int own_head;     /* config.json says tied, but the file has another head: tied is 0 */
    int tied, attention_bias /* q k v */, attention_out_bias, mlp_bias;
    enum qk_norm qk_norm;
    size_t window; /* of blocks with BLOCK_WINDOW: key j is visible to i when i - window < j <= i */
    unsigned char *block;               /* [layers] BLOCK_...; owned */
    struct rope_spec rope, rope_window; /* of blocks without and with a window */
    double *rope_factors[2];            /* what rope and rope_window borrow; owned */
    /* Multipliers, 1: none. attention_scale 0: 1 / sqrt(head_dim). Soft caps, 0: none. */
    double embed_scale, residual_scale, logit_scale, attention_scale, attention_cap, logit_cap;
    /* Queries times 1 + query_growth ln(1 + floor(position / query_original)); 0: not. */
    double query_growth;
    size_t query_original;
    /* Keys and values from a latent: its width, that of the queries' (0: none), of a head of k what
     * is its own and what all heads share, and a head of v. */
    size_t latent_kv, latent_q, key_own, key_shared, value_dim;
    size_t experts, experts_top, expert_ff, shared_ff; /* 0: none */
    size_t experts_groups, experts_groups_top;         /* chosen among the best of these; 0: none */
    double experts_scale;                              /* their weights times this */
    int experts_normalized;                            /* weights of a token's experts: sum 1 */
    /* Blocks with BLOCK_DELTA have no attention, but a delta rule behind a convolution. */
    size_t delta_key_heads, delta_value_heads, delta_key_dim, delta_value_dim, delta_taps;
    /* Blocks without a window, where they have sizes of their own; keys_are_values: and no v. */
    size_t full_head_dim, full_kv_heads;
    int keys_are_values;
    double swiglu_alpha, swiglu_limit; /* of op_swiglu.c */
    /* Numbers of each row that blocks hand on beside the stream (program.h): an embedding for each
     * block, of so many numbers (0: none) out of so many tokens; then keys and values that the last
     * blocks, so many, have in common with earlier ones. */
    size_t carry, block_embed, block_embed_vocab, shared_keys;
    int shared_wide;      /* and their MLP is twice as wide */
    size_t blocks_behind; /* blocks in the file behind the last, which take no part */
    int act_bits;     /* inputs of sites are rounded to so many; 0: they are not. Of who opens it */
    int qkv_bits;     /* and what attention reads */
    int64_t bos, eos; /* -1: none */
    struct vision *vision;            /* its tower, owned; NULL: it sees no images */
    const struct family_text *nested; /* of a model of several parts: its decoder; NULL: none */
    struct json *file;                /* config.json, owned */
    const struct json *json;          /* of the decoder: the file, or its text_config; borrowed */
};

void config_release(struct config *c);
/* Numbers of a row between two blocks: those of T rows are [T, d] and, behind them, [T, carry]. */
size_t config_row(const struct config *c);
size_t config_window(const struct config *c, size_t block); /* 0: none */
/* NULL: the block has none. */
const struct rope_spec *config_rope(const struct config *c, size_t block);

#endif
