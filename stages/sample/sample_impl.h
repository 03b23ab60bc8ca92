/* sample_impl - inside of struct sample, for the sample_*.c files alone. */
#ifndef PTQ_SAMPLE_IMPL_H
#define PTQ_SAMPLE_IMPL_H

#include "../../common/model/config.h"
#include "../../common/text/docs.h"
#include "../../common/text/tokenizer.h"
#include "sample.h"

/* A document that rows are taken from. */
struct source {
    int32_t *ids;
    size_t n;
    uint64_t key;        /* crops: its place in the random order */
    int text;            /* was text, not ids */
    uint64_t taken;      /* tokens in rows */
};

/* A row: `bos` token or none, then tokens from source `doc` at `offset`; concat goes on in the sources behind it. */
struct row {
    size_t doc, offset, length;
    int bos;
};

struct sample {
    struct sample_opts o;
    struct config config;
    int config_open;
    struct tokenizer *tokenizer;  /* NULL: the folder has none */
    int32_t bos;                  /* -1: none */
    uint64_t want;                /* rows; UINT64_MAX: all */
    struct source *source;
    size_t nsource, source_cap;
    struct row *row;
    size_t nrow, row_cap;
    size_t *chunk_row;            /* [chunks + 1] first row of each */
    size_t chunks, lanes;
    uint64_t data_digest;
    uint64_t *seen;               /* digests of documents, for duplicates: open addressing, 0 empty */
    size_t nseen, seen_slots;
    uint64_t *file_tokens;
    struct sample_audit audit;
    struct json *record;
    char run[17];
};

/* sample_data.c: documents of all files, in order. */
struct sample_reader;
struct sample_reader *sample_reader_open(struct sample *s, struct err *e);
/* 1: *x is the next document (x->ids is the caller's), 0: no more, -1. skip, if not NULL, is asked before the document is tokenized. */
int sample_reader_next(struct sample_reader *r, struct source *x, int (*skip)(void *ctx), void *ctx, struct err *e);
void sample_reader_close(struct sample_reader **r);
int sample_digest(struct sample *s, struct err *e);

/* sample_plan.c: fills source and row. */
int sample_plan(struct sample *s, struct err *e);

#endif
