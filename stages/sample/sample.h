/* SPDX-License-Identifier: Apache-2.0 */
/* sample - calibration data to chunks of tokens: reads, plans, emits. No sockets here.
 *
 * Four modes, L = length:
 *   concat  the documents joined in order, nothing between them, cut into rows of L; what most
 *           tools do. Reads no more than it needs.
 *   crops   a window of L tokens at a random place in each of randomly drawn documents. A document
 *           of n tokens gives at most n/L windows: a second round over the documents begins only
 *           when each gave its first. Shorter documents are dropped.
 *   head    the first L tokens of each document, in order; shorter documents are dropped.
 *   whole   each document, of its own length; longer ones than a row may be are dropped. Chats
 *           with images, of which nothing can be cut off.
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
#include "../../common/model/config.h"
#include "../../common/text/docs.h"
#include "../../common/wire/msg.h"
#include "sample_rows.h"
#include "sample_types.h"

struct sample;

/* What sample_open says of lengths and tokens before it reads the data. c: of the model. */
int sample_check_limits(const struct sample_opts *o, const struct config *c, struct err *e);
/* The same of a document with images: whether the model sees, and how it takes them in. */
int sample_check_images(const struct sample_opts *o, const struct config *c, const struct doc *d,
                        struct err *e);
/* Reads the data and plans every row. What o points to must live as long as the sample.
 * NULL: what is wrong with data, model or options, by name. */
struct sample *sample_open(const struct sample_opts *o, struct err *e);
void sample_close(struct sample **s);

size_t sample_chunks(const struct sample *s);
size_t sample_lanes(const struct sample *s); /* at most the number of chunks */
const struct sample_audit *sample_audit(const struct sample *s);
/* A line for each folder of data: which of its files were taken. */
void sample_files_log(const struct sample *s);
const struct json *sample_record(const struct sample *s); /* of the provenance, audit included */
const char *sample_run(const struct sample *s);           /* of model and record: run_id.h */

/* The caller's; NULL: no memory. */
struct msg *sample_chunk(const struct sample *s, size_t chunk, struct err *e);
/* All chunks, each to one peer: its lane's, the peers in turn, so that all start at once; each gets
 * its chunks in order. pace: how fast each is, above 0, those that are faster get more lanes; NULL:
 * all alike, lane l is peer l mod peers'. emit takes the message; its -1 ends it. */
int sample_emit(const struct sample *s, size_t peers, const double *pace,
                int (*emit)(void *ctx, size_t peer, struct msg **m, struct err *e), void *ctx,
                struct err *e);
/* Those of some lanes alone, as "0,3-5": the peers in turn get a lane of the list each. ERR_USE: no
 * such list, or no such lane. */
int sample_emit_lanes(const struct sample *s, const char *lanes, size_t peers,
                      int (*emit)(void *ctx, size_t peer, struct msg **m, struct err *e), void *ctx,
                      struct err *e);

#endif
