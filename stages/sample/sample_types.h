/* SPDX-License-Identifier: Apache-2.0 */
/* sample_types - what a sample is asked for, and the account of what was done with the
 * documents. */
#ifndef PTQ_SAMPLE_TYPES_H
#define PTQ_SAMPLE_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/model/weigh.h"
#include "../../common/text/docs.h"

enum sample_mode { SAMPLE_CONCAT, SAMPLE_CROPS, SAMPLE_HEAD, SAMPLE_WHOLE };
/* auto: in crops and head, rows of text begin with the token that the tokenizer puts in front of
 * a text, if it has one. */
enum sample_bos { SAMPLE_BOS_AUTO, SAMPLE_BOS_YES, SAMPLE_BOS_NO };

/* What becomes of a chat with an image that is absent or broken. */
enum sample_images { SAMPLE_IMAGES_REFUSE, SAMPLE_IMAGES_SKIP };
enum sample_draw { SAMPLE_STRATIFIED, SAMPLE_UNIFORM, SAMPLE_FIXED };
enum sample_crops { SAMPLE_INDEPENDENT, SAMPLE_NESTED };
/* crops, when the documents that are long enough for a length do not suffice: an error, or rows
 * cut from all documents joined in order. */
enum sample_short { SAMPLE_SHORT_ERROR, SAMPLE_SHORT_JOIN };
/* length: each token of a row of L tokens bears weight 1/L, so that each row counts as one
 * sample. */
enum sample_weights { SAMPLE_WEIGHTS_NONE, SAMPLE_WEIGHTS_LENGTH };

#define SAMPLE_LENGTHS_MAX 64
#define SAMPLE_LENGTH 2048 /* of a sequence, where no length is given */
#define SAMPLE_LANES 8     /* where their number is not given */

struct sample_opts {
    const char *model;       /* folder: config.json, and a tokenizer unless the data are ids */
    const char *const *data; /* files, "-", pipes: as data_file.h says */
    size_t ndata;
    uint64_t tokens;
    size_t length;
    enum sample_mode mode;
    int mode_auto;  /* whole instead of mode, if the first document is a chat with images */
    size_t longest; /* whole: tokens of a row at most; 0: what the model has room for */
    enum sample_images bad_images;
    uint64_t seed;
    /* a chunk is whole rows, at least one, no more than about this many tokens */
    size_t chunk_tokens;
    size_t lanes;
    enum sample_bos bos;
    const size_t *lengths; /* instead of length, [nlengths]; any order */
    size_t nlengths;
    enum sample_draw draw;
    enum sample_crops crops;
    enum sample_short too_short;
    enum sample_weights weights;
    /* [ndata] each file's part of the tokens, in any unit; NULL: the files are one text after
     * the other */
    const double *shares;
    /* file: .jsonl, {"weights": [L], "blocks": [blocks]} for each row in order, either or both;
     * .safetensors, "weights" [tokens], "blocks" [blocks, rows] */
    const char *token_weights;
    struct weigh_clip clip;     /* of these */
    const double *first_weight; /* of the first token of each row, multiplied in; NULL: 1 */
    const char *chat_template;  /* file; NULL: the model's own */
    const char *date;           /* today's, for chat templates that ask; NULL: none */
    struct docs_opts docs;      /* how documents are read */
};

/* What was done with the documents. */
struct sample_audit {
    uint64_t read;          /* tokenized, or taken as ids */
    uint64_t passed;        /* crops: not drawn; most of these are not even tokenized */
    uint64_t used, cropped; /* in at least one row; of these, not whole */
    uint64_t dropped;       /* too short, or empty */
    uint64_t duplicates;    /* the same tokens as a document read before; never dropped */
    uint64_t double_bos;    /* rows that begin with BOS twice */
    uint64_t remainder;     /* tokens of the budget that make no row */
    /* crops: rows cut from joined documents, because too few were long enough */
    uint64_t joined;
    uint64_t capped;  /* lengths that were beyond the model's context */
    uint64_t chats;   /* of the documents read */
    uint64_t answers; /* tokens of rows that the model is to say: ROLE_ANSWER */
    /* chats whose template and --bos, or template and text, both began with BOS: one of them
     * went */
    uint64_t bos_removed;
    /* rows whose token weights were all 0 or not finite: taken as 1 */
    uint64_t weights_uniform;
    uint64_t blocks_uniform; /* blocks in which those of the rows were */
    uint64_t lines_skipped;  /* that are no documents */
    char first_skipped[256]; /* why the first of them was */
    uint64_t chats_refused;  /* by their template, and skipped */
    char first_refused[256];
    uint64_t longer;             /* whole: of the dropped, those that are too long */
    uint64_t images;             /* of the documents read */
    uint64_t images_bad;         /* chats skipped because of one */
    char first_bad[256];         /* why the first of them was */
    uint64_t repaired;           /* documents with bytes that were no UTF-8 */
    uint64_t replaced;           /* characters that became U+FFFD in them */
    char first_repaired[256];    /* file:line of the first of them */
    uint64_t tokens_masked;      /* left out because attention_mask rules them out */
    double effective;            /* effective sample size in tokens, (sum w)^2 / sum w^2 */
    const uint64_t *file_tokens; /* [ndata] tokens read of each file */
    uint64_t files;
};

#endif
