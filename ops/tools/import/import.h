/* SPDX-License-Identifier: Apache-2.0 */
/* import - a GGUF file becomes a Hugging Face model folder.
 *
 * import_run() is the whole job; the rest are its parts: what the metadata says
 * (import_config.c), which tensor is which (import_names.c), the tokenizer (import_tokenizer.c,
 * import_merges.c), and the folder (import.c). */
#ifndef PTQ_IMPORT_H
#define PTQ_IMPORT_H

#include "../../../common/base/err.h"
#include "../../../common/base/json.h"
#include "../../../common/tensor/gguf.h"
#include "../../../common/text/pre_names.h"

struct import_opts {
    const char *file, *dir;
    enum dtype dtype; /* DT_BF16, DT_F16 or DT_F32 */
    int vocab_only;   /* tokenizer files only */
    const char *pre;  /* pre-tokenizer in place of the one that the file names; NULL: the file's */
};

/* Makes the folder `dir`, which must not exist or be empty; on failure nothing of it is left. */
int import_run(const struct import_opts *o, struct err *e);

enum import_family { IMPORT_LLAMA, IMPORT_MISTRAL, IMPORT_QWEN2, IMPORT_QWEN3 };

struct import_model {
    enum import_family family;
    const char *arch; /* prefix of the metadata keys */
    int64_t d, layers, heads, kv_heads, head_dim, ff, vocab, context, window;
    int tied, attention_bias, out_bias, mlp_bias, permuted;
    double eps, theta;
    double linear_factor;     /* 0: no linear rope scaling */
    double factor, low, high; /* llama3 rope scaling; factor 0: none */
    int64_t original;
};

/* m borrows from g. -1: a key that is missing, or of another kind than it must be; by name. */
int import_model_read(const struct gguf *g, struct import_model *m, struct err *e);
/* config.json and generation_config.json, the caller's; NULL on error. */
struct json *import_config(const struct import_model *m, const struct gguf *g, enum dtype t,
                           struct err *e);
struct json *import_generation(const struct gguf *g, struct err *e);
/* The llama3 parameters that give these n frequency factors; -1 when none of the known ones do. */
int import_rope_factors(const float *factors, size_t n, double theta, struct import_model *m);

struct import_tensor {
    char name[TENSOR_NAME]; /* in the checkpoint */
    const struct gguf_entry *from;
    int ndim;
    uint64_t shape[2];
    /* rows of a head that are stored interleaved; 0: rows as they are */
    uint64_t head_rows;
};

/* All tensors of the checkpoint; every tensor of the file must be one of them. Caller frees the
 * list. */
int import_names(const struct gguf *g, const struct import_model *m, struct import_tensor **list,
                 size_t *count, struct err *e);

struct import_tokenizer {
    /* tokenizer.json, tokenizer_config.json, special_tokens_map.json */
    struct json *tokenizer, *config, *special;
    size_t count;        /* tokens */
    const char *warning; /* what a user should know; NULL: nothing */
};

/* pre: as in import_opts. Release t in any case. */
int import_tokenizer_make(const struct gguf *g, const char *pre, struct import_tokenizer *t,
                          struct err *e);
void import_tokenizer_release(struct import_tokenizer *t);
/* asked, or what the file says; a file that does not say is refused. Borrowed, static. */
const struct pre_name *import_pre_read(const struct gguf *g, const char *asked, struct err *e);

/* Merges of a SentencePiece vocabulary, best score first; vocab: text -> id. */
struct json *import_merges(const struct json *tokens, const struct json *scores,
                           const struct json *types, const struct json *vocab, const char *what,
                           struct err *e);

enum { TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE };

#endif
