/* SPDX-License-Identifier: Apache-2.0 */
/* sample - calibration data to chunks of tokens: reads, plans, emits. No sockets here.
 *
 * Three modes, L = length:
 *   concat  the documents joined in order, nothing between them, cut into rows of L; what most
 *           tools do. Reads no more than it needs.
 *   crops   a window of L tokens at a random place in each of randomly drawn documents. A document
 *           of n tokens gives at most n/L windows: a second round over the documents begins only
 *           when each gave its first. Shorter documents are dropped.
 *   head    the first L tokens of each document, in order; shorter documents are dropped.
 * A row that begins with the BOS token has L-1 tokens of text. The number of rows is tokens / L,
 * what remains of the budget is left out; budget 0 takes all rows there are.
 *
 * Rows of several lengths (`lengths`; MaCa, arXiv 2602.07465): concat cuts rows of the drawn
 * lengths one after the other, crops draws the documents of each length by itself among those
 * long enough for it. The lengths fill the budget exactly wherever their sums can.
 *   stratified  cycles of one row of each length, longest first, then the fewest rows that fill
 *               what remains
 *   uniform     each length drawn by itself until one does not fit
 *   fixed       one length
 * With shares each file is sampled by itself, to its part of the budget, and the rows are
 * interleaved evenly. nested: the rows of a cycle are prefixes of one crop of the longest
 * length. Lengths beyond the model's context become that context.
 *
 * Everything depends on the data's contents, the model folder and the options alone. Lengths:
 * all in tokens. */
#ifndef PTQ_SAMPLE_H
#define PTQ_SAMPLE_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/base/json.h"
#include "../../common/model/weigh.h"
#include "../../common/text/docs.h"
#include "../../common/wire/msg.h"

enum sample_mode { SAMPLE_CONCAT, SAMPLE_CROPS, SAMPLE_HEAD };
/* auto: in crops and head, rows of text begin with the token that the tokenizer puts in front of
 * a text, if it has one. */
enum sample_bos { SAMPLE_BOS_AUTO, SAMPLE_BOS_YES, SAMPLE_BOS_NO };

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
    const char *const *data; /* .txt, .jsonl; "-", pipes: as data_file.h says */
    size_t ndata;
    uint64_t tokens;
    size_t length;
    enum sample_mode mode;
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
    enum docs_bad bad_lines;    /* what becomes of a line that is no document */
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
    uint64_t capped; /* lengths that were beyond the model's context */
    uint64_t chats;  /* of the documents read */
    /* chats whose template and --bos, or template and text, both began with BOS: one of them
     * went */
    uint64_t bos_removed;
    /* rows whose token weights were all 0 or not finite: taken as 1 */
    uint64_t weights_uniform;
    uint64_t blocks_uniform;     /* blocks in which those of the rows were */
    uint64_t lines_skipped;      /* that are no documents */
    char first_skipped[256];     /* why the first of them was */
    uint64_t repaired;           /* documents with bytes that were no UTF-8 */
    uint64_t tokens_masked;      /* left out because attention_mask rules them out */
    double effective;            /* effective sample size in tokens, (sum w)^2 / sum w^2 */
    const uint64_t *file_tokens; /* [ndata] tokens read of each file */
    uint64_t files;
};

struct sample;

/* Reads the data and plans every row. What o points to must live as long as the sample.
 * NULL: what is wrong with data, model or options, by name. */
struct sample *sample_open(const struct sample_opts *o, struct err *e);
void sample_close(struct sample **s);

size_t sample_chunks(const struct sample *s);
size_t sample_lanes(const struct sample *s); /* at most the number of chunks */
size_t sample_rows(const struct sample *s);
uint64_t sample_tokens(const struct sample *s);
/* The lengths that rows can have, longest first. */
size_t sample_lengths(const struct sample *s, const size_t **length);
uint64_t sample_rows_of(const struct sample *s, size_t length);
const struct sample_audit *sample_audit(const struct sample *s);
const struct json *sample_record(const struct sample *s); /* of the provenance, audit included */
const char *sample_run(const struct sample *s);           /* digest of the record */

/* The caller's; NULL: no memory. */
struct msg *sample_chunk(const struct sample *s, size_t chunk, struct err *e);
/* All chunks, each to one peer: lane l to peer l mod peers, the peers in turn, so that all start
 * at once; each gets its chunks in order. emit takes the
 * message; its -1 ends it. */
int sample_emit(const struct sample *s, size_t peers,
                int (*emit)(void *ctx, size_t peer, struct msg **m, struct err *e), void *ctx,
                struct err *e);

#endif
