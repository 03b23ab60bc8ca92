/* SPDX-License-Identifier: Apache-2.0 */
/* sample_impl - inside of struct sample, for the sample_*.c files alone. */
#ifndef PTQ_SAMPLE_IMPL_H
#define PTQ_SAMPLE_IMPL_H

#include "../../common/image/prepare.h"
#include "../../common/model/config.h"
#include "../../common/jinja/chat_ids.h"
#include "../../common/text/docs.h"
#include "../../common/tensor/safetensors.h"
#include "../../common/text/tokenizer.h"
#include "../../common/wire/run_id.h"
#include "sample_types.h"

struct document_image; /* sample_images.h */

/* A document that rows are taken from. */
struct document {
    int32_t *ids;
    uint8_t *role; /* [n]; NULL: plain text */
    size_t n;
    int text, chat; /* was text, was a chat; neither: ids */
    int bos_removed;
    int joined;     /* read again, to be joined with others; counted when it was read first */
    uint64_t taken; /* tokens in rows */
    size_t file;    /* it came from */
    struct document_image *image; /* [nimages], in the order of their tokens */
    size_t nimages;
};

/* A row: `bos` token or none, then tokens from document `doc` at `offset`; concat goes on in the
 * documents behind it. */
struct row {
    size_t doc, offset, length;
    int bos;
    uint64_t at; /* its first token among all */
};

/* Files that are sampled by themselves, and the rows that are to come from them. */
struct file_group {
    size_t file, end; /* files [file, end) */
    uint64_t stream;  /* of its random numbers: this one and those that follow */
    uint64_t want;    /* rows; UINT64_MAX: all there are, of the one length */
    size_t *length;   /* [want] in order; NULL: all of the one length */
    size_t first;     /* row of s->row */
    uint64_t tokens;  /* of its rows */
    uint64_t budget;  /* whole: tokens that are to come from them; 0: all there are */
    /* stratified: as many rows of `length` as lengths times this are cycles */
    uint64_t cycles;
};

/* Weights of all tokens at one site of a block. */
struct site_weight {
    uint64_t block;
    char site[64];
    float *w; /* [tokens], mean 1 in each row */
};

/* What sample.h is the door to. */
struct sample {
    struct sample_opts o;
    size_t set[SAMPLE_LENGTHS_MAX]; /* lengths, longest first, none twice */
    size_t nset;
    size_t *whole; /* [nwhole] the same of rows that are whole documents; once planned */
    size_t nwhole;
    struct data_file *file; /* [nfile], of o.data */
    size_t nfile;
    struct file_group *group;
    size_t ngroups;
    struct config config;
    int config_open;
    struct tokenizer *tokenizer; /* NULL: the folder has none */
    struct chat *chat;           /* once a chat was read */
    float *weight;               /* [tokens] of a file, mean 1 in each row; NULL: none */
    float *block_weight;         /* [blocks, rows] of a file, mean 1 in each block; NULL: none */
    struct site_weight *site_weight; /* [nsites] of a file */
    size_t nsites;
    struct json *sites; /* what their rows in a chunk are of: field "site_weights" */
    uint64_t weight_digest;
    struct prepare *prepare; /* of images; once one was read */
    int32_t bos;             /* -1: none */
    struct document *document;
    size_t ndocuments, document_cap;
    int roles; /* one of them has some */
    struct row *row;
    size_t nrow, row_cap;
    size_t *chunk_row; /* [chunks + 1] first row of each */
    size_t chunks, lanes;
    uint64_t data_digest;
    /* digests of documents, for duplicates: open addressing, 0 empty */
    uint64_t *seen;
    size_t nseen, seen_slots;
    uint64_t *file_tokens;
    struct sample_audit audit;
    struct json *record;
    char run[RUN_ID];
};

/* sample_data.c: documents of the files of a group, in order. again: nothing is counted. */
struct sample_reader;
struct sample_reader *sample_reader_open(struct sample *s, const struct file_group *p, int again,
                                         struct err *e);
/* 1: *x is the next document (the caller's to release), 0: no more, -1. skip, if not NULL, is
 * asked before the document is tokenized. */
int sample_reader_next(struct sample_reader *r, struct document *x, int (*skip)(void *ctx),
                       void *ctx, struct err *e);
void sample_reader_close(struct sample_reader **r);
void document_release(struct document *x);
/* opens the files first */
int sample_digest(struct sample *s, struct err *e);

/* sample_lengths.c: set, from the options; then the rows of a group that fill so many tokens
 * (p->want, length, cycles). */
int sample_set(struct sample *s, struct err *e);
int sample_draw(const struct sample *s, uint64_t tokens, struct file_group *p, struct err *e);
static inline size_t group_length(const struct sample *s, const struct file_group *p, uint64_t row)
{
    return p->length ? p->length[row] : s->set[0];
}

/* sample_mix.c: the groups and their budgets; afterwards, rows of all groups evenly among each
 * other. */
int sample_groups(struct sample *s, struct err *e);
int sample_interleave(struct sample *s, struct err *e);

/* sample_weights.c: reads token weights; then weights of the tokens of a row. */
int sample_weights_read(struct sample *s, struct err *e);
void sample_weights_fill(const struct sample *s, const struct row *w, float *out);
/* [blocks, rows], where there are any */
void sample_block_weights(const struct sample *s, size_t first, size_t rows, float *out);
/* sample_sites.c: tensors "b3.attn.qkv" [tokens] of a file of weights; not yet brought to mean 1 */
int sample_sites_read(struct sample *s, const struct st_set *set, struct err *e);
/* [nsites, T] of the rows [first, first + rows), T their tokens; NULL: no memory */
float *sample_sites_fill(const struct sample *s, size_t first, size_t rows, size_t T,
                         struct err *e);
void sample_sites_release(struct sample *s);
int sample_first_weighs(const struct sample *s); /* is the first token of a row weighted? */
int sample_weights_audit(struct sample *s, struct err *e);

/* sample_record.c */
int sample_record_build(struct sample *s, struct err *e);

/* sample_plan.c: fills document and row. */
int sample_plan(struct sample *s, struct err *e);
/* takes ids and role in any case: x has none afterwards */
int document_push(struct sample *s, struct document *x, struct err *e);
int row_push(struct sample *s, size_t doc, size_t offset, size_t length, int bos, struct err *e);
/* whether the rows of a document begin with BOS */
int row_bos(const struct sample *s, int text);
/* A place in documents that follow each other, joined. join_fill reads on until `need` tokens are
 * there (*have tokens), join_row makes the next row. */
struct join {
    size_t doc, offset;
};
int join_fill(struct sample *s, struct sample_reader *r, uint64_t need, int joined, uint64_t *have,
              struct err *e);
int join_row(struct sample *s, struct join *j, size_t length, int bos, struct err *e);
int sample_plan_failed(const struct sample *s, const struct file_group *p, uint64_t have,
                       struct err *e);

/* sample_whole.c: rows that are documents; then the lengths they have. */
int sample_plan_whole(struct sample *s, const struct file_group *p, struct err *e);
int sample_whole_lengths(struct sample *s, struct err *e);

/* sample_crops.c */
int sample_plan_crops(struct sample *s, const struct file_group *p, struct err *e);

#endif
