/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_folder - a GGUF file as the Hugging Face folder that it stands for: what its metadata say
 * (gguf_info.c) as config.json (gguf_config.c), which tensor is which (gguf_tensors.c), and these
 * as a set that is read like one of safetensors (gguf_set.c). */
#ifndef PTQ_GGUF_FOLDER_H
#define PTQ_GGUF_FOLDER_H

#include "../base/err.h"
#include "../base/json.h"
#include "gguf.h"
#include "gguf_names.h"
#include "safetensors.h"

/* The GGUF file that a model's path means, the caller's: the file itself, or the only one in a
 * folder without safetensors and config.json. NULL: it means none, or no memory. */
char *gguf_path(const char *model);

struct gguf_info {
    const struct gguf_arch *arch;
    int64_t d, layers, heads, kv_heads, head_dim, ff, vocab, context, window;
    int64_t experts, top, expert_ff; /* experts 0: none */
    int tied, attention_bias, out_bias, mlp_bias;
    int quantized; /* some tensor of a block is of a type of blocks */
    double eps, theta;
    double linear_factor, yarn_factor; /* 0: no such rope scaling */
    double factor, low, high;          /* llama3 rope scaling; factor 0: none */
    int64_t original;
    int64_t rope_width; /* numbers of a head that turn */
    /* longrope, NULL: none; it multiplies the tables of cos and sin */
    const struct gguf_entry *rope_long, *rope_short;
    double attention_factor;
    int64_t period;                      /* of blocks with a window every so many-th has none */
    double theta_window, cap, logit_cap; /* of these; soft caps, 0: none */
};

#define GGUF_ROPE_FACTORS "rope_freqs.weight"
#define GGUF_ROPE_LONG "rope_factors_long.weight"
#define GGUF_ROPE_SHORT "rope_factors_short.weight"

/* m borrows from g. -1: a key that is missing, or of another kind than it must be; by name. */
int gguf_info_read(const struct gguf *g, struct gguf_info *m, struct err *e);
/* config.json and generation_config.json, the caller's; NULL on error. The first says that weights
 * are quantized when `quantized` is 1. */
struct json *gguf_config(const struct gguf_info *m, const struct gguf *g, enum dtype t,
                         int quantized, struct err *e);
struct json *gguf_generation(const struct gguf *g, struct err *e);
/* What several families say in their part of it (gguf_arch.config): windows that are switched off;
 * sliding_window, null where there is none. */
int gguf_config_no_windows(struct json *c, const struct gguf_info *m);
int gguf_config_window(struct json *c, const struct gguf_info *m);
/* config.json of the file as it is. */
struct json *gguf_config_of(const struct gguf *g, struct err *e);
/* The shortest decimal that gives the same f32 back: 1e-05 instead of 9.999999747378752e-06. */
double gguf_shortest(double v);
/* The llama3 parameters that give these n frequency factors; -1 when none of the known ones do. */
int gguf_rope_factors(const float *factors, size_t n, double theta, struct gguf_info *m);

struct gguf_tensor {
    char name[TENSOR_NAME]; /* in the checkpoint */
    const struct gguf_entry *from;
    int ndim;
    uint64_t shape[2];
    uint64_t first;     /* row of `from` where it begins: one of several experts */
    uint64_t head_rows; /* rows of a head that are stored interleaved; 0: rows as they are */
    float shift;        /* what the file's numbers are more */
};

/* All tensors of the checkpoint by name; every tensor of the file must be one of them. Caller frees
 * the list. */
int gguf_tensors(const struct gguf *g, const struct gguf_info *m, struct gguf_tensor **list,
                 size_t *count, struct err *e);

/* The tensors of the file under the names of a checkpoint. Those of a type of blocks are read as
 * F32, exactly; their entries say `blocks`. */
struct st_set *gguf_set_open(const char *path, struct err *e);

#endif
