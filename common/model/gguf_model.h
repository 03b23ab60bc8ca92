/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_model - a checkpoint's config, tokenizer and tensors as a GGUF file that llama.cpp loads:
 * the architectures of gguf_names.h. What llama.cpp
 * would compute otherwise is refused by name. */
#ifndef PTQ_GGUF_MODEL_H
#define PTQ_GGUF_MODEL_H

#include "../format/format.h"
#include "../tensor/gguf_write.h"
#include "../tensor/safetensors.h"
#include "config.h"

/* A tensor of the checkpoint in the file. */
struct gguf_place {
    char name[GGUF_NAME];
    uint64_t head_rows; /* rows of a head, stored interleaved; 0: rows as they are */
    uint64_t matrices;  /* stand in it, those of all experts, slowest; 0: it is no expert's */
    uint64_t which;     /* of these */
    int exact;          /* F32 whatever it is here: a router */
    float shift;        /* what its numbers are more in the file: of norms of 1 + w */
    int left_out; /* the file has none: a head that is the embedding, what follows from config */
};

/* Where tensor `name` goes. */
int gguf_model_place(const struct config *c, const struct st_set *s, const char *name,
                     struct gguf_place *p, struct err *e);
/* The type that a tensor has which is not quantized: vectors are F32, as llama.cpp wants them. */
enum gguf_type gguf_model_type(const struct st_entry *x, const struct gguf_place *p);
/* Everything but general.file_type and the provenance. */
int gguf_model_meta(const char *dir, const struct config *c, struct gguf_meta *m, struct err *e);
/* Tables of frequencies that the file holds as tensors [n]: those of llama3 rope, or the two of
 * longrope. values NULL: no such table. Release them in any case. */
#define GGUF_TABLES 2
struct gguf_table {
    const char *name;
    float *values;
    size_t n;
};
int gguf_model_tables(const struct config *c, struct gguf_table t[GGUF_TABLES], struct err *e);
void gguf_model_tables_release(struct gguf_table t[GGUF_TABLES]);
/* Can the model become a GGUF file, its tokenizer too? */
int gguf_model_check(const char *dir, const struct config *c, const struct st_set *s,
                     struct err *e);
/* The same where one of the formats is a GGUF file, of the model folder dir. */
int gguf_model_check_formats(const char *dir, const struct config *c,
                             const struct format *const *formats, size_t nformats, struct err *e);

/* Rows of a head [rows, bytes] from the checkpoint's order, the two halves one after the other, to
 * the file's: pairs that turn together are neighbours. */
void gguf_model_weave(const void *in, void *out, uint64_t rows, size_t bytes);

#endif
