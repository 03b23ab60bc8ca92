/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_parts - inside of struct tokenizer, shared by the tokenizer_*.c files alone.
 *
 * The parts of tokenizer.json are flattened into short lists of steps: a Sequence is its
 * members, Digits and the pattern of ByteLevel are Splits. */
#ifndef PTQ_TOKENIZER_PARTS_H
#define PTQ_TOKENIZER_PARTS_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "bpe.h"
#include "charsmap.h"
#include "unicode.h"
#include "unigram.h"

struct text {
    char *data; /* owned */
    size_t n;
};

enum norm_kind {
    NORM_PREPEND,
    NORM_REPLACE,
    NORM_FORM,
    NORM_LOWER,
    NORM_STRIP,
    NORM_MAP,  /* SentencePiece's table */
    NORM_BYTES /* each byte as the character that stands for it in byte-level vocabularies */
};
struct norm_step {
    enum norm_kind kind;
    struct unicode_regex *find;
    struct text put; /* PREPEND, REPLACE */
    enum unicode_form form;
    int left, right; /* STRIP */
    struct charsmap *map;
};

enum split_behavior { SPLIT_REMOVED, SPLIT_ISOLATED, SPLIT_PREVIOUS, SPLIT_NEXT, SPLIT_CONTIGUOUS };
enum pre_kind {
    PRE_SPLIT,
    PRE_SPACE, /* a space in front of each piece that has none */
    PRE_META,  /* spaces become `put`, which also goes in front: see prefix */
    PRE_BYTES  /* as NORM_BYTES: other steps follow ByteLevel */
};
enum meta_prefix { META_ALWAYS, META_FIRST, META_NEVER };
struct pre_step {
    enum pre_kind kind;
    struct unicode_regex *find;
    enum split_behavior behavior;
    int invert;
    struct text put;
    enum meta_prefix prefix;
};

enum dec_kind { DEC_BYTE_LEVEL, DEC_REPLACE, DEC_BYTE_FALLBACK, DEC_FUSE, DEC_STRIP, DEC_META };
struct dec_step {
    enum dec_kind kind;
    struct unicode_regex *find;
    struct text put;    /* REPLACE: new text; STRIP, META: the character */
    size_t start, stop; /* STRIP */
    int prefix;         /* META: the first token's is dropped */
};

struct added {
    /* norm: as it looks after normalizing; empty unless it is looked for there */
    struct text raw, norm;
    int32_t id;
    int special, lstrip, rstrip, single_word, normalized;
};

#define STEPS_MAX 32

struct tokenizer {
    struct bpe *bpe;         /* the vocabulary, whatever the model */
    struct unigram *unigram; /* NULL: another model */
    int word_level;          /* a piece is a token or unknown */
    int32_t unk;             /* of word_level */
    struct norm_step norm[STEPS_MAX];
    struct pre_step pre[STEPS_MAX];
    struct dec_step dec[STEPS_MAX];
    size_t nnorm, npre, ndec;
    struct added *added; /* longest text first */
    size_t nadded;
    unsigned char starts[2][256]; /* bytes that begin an added token: [0] raw, [1] normalized */
    struct bpe_ids front, back;   /* what the post-processor adds */
    size_t vocab;
    uint64_t digest;
};

/* Places in a text; pieces of an encode step. */
struct span {
    size_t start, end;
};
struct pieces {
    struct text text; /* what the spans point into */
    struct span *span;
    size_t count, cap;
};
/* empty ones are left out */
int pieces_push(struct pieces *p, size_t start, size_t end, struct err *e);
void pieces_release(struct pieces *p);

/* tokenizer_split.c. Both replace *x. *lost: the first character of the text went. `start` is 1
 * when the text is the very beginning of what is encoded, which what went was then. */
int text_normalize(const struct tokenizer *t, struct text *x, int *lost, struct err *e);
int text_split(const struct tokenizer *t, struct pieces *x, int start, struct err *e);
/* most: bytes that x may have then, more are refused; 0: any. */
int text_replace(struct text *x, struct unicode_regex *find, const struct text *put, size_t most,
                 struct err *e);
int text_copy(struct text *x, const char *data, size_t n, struct err *e);

/* tokenizer_added.c: the next added token in text[from, n): 1 found, 0 none. span is what it
 * swallows. */
int added_next(const struct tokenizer *t, int normalized, const char *text, size_t n, size_t from,
               struct span *span, int32_t *id);
int added_prepare(struct tokenizer *t, struct err *e);

/* tokenizer_model.c: the model of tokenizer.json. byte_level: pieces are bytes. */
struct json;
int model_parse(struct tokenizer *t, const struct json *m, int byte_level, const char *what,
                struct err *e);
int model_encode(const struct tokenizer *t, const char *piece, size_t n, struct bpe_ids *ids,
                 struct err *e);

/* tokenizer_ranks.c: a tiktoken file. *bos: the models that have it begin texts with a BOS. Its
 * special tokens are for the caller to add. */
int tokenizer_is_ranks(const char *text, size_t n);
struct tokenizer *tokenizer_ranks_parse(const char *text, size_t n, const char *what, int *bos,
                                        struct err *e);

/* tokenizer_steps.c: normalizer, pre-tokenizer and decoder of tokenizer.json into steps.
 * *byte_level is set when the text is to be taken as bytes. */
/* Calls parse for the part, or for each member of a Sequence (the list of which is called
 * `list`). byte_level is handed on. */
typedef int part_parse(struct tokenizer *t, const struct json *j, const char *type, int *byte_level,
                       const char *what, struct err *e);
int parts_walk(struct tokenizer *t, const struct json *j, const char *list, part_parse *parse,
               int *byte_level, const char *what, struct err *e);
int norm_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e);
int pre_parse(struct tokenizer *t, const struct json *j, int *byte_level, const char *what,
              struct err *e);
int dec_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e);

#endif
