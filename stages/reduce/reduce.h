/* SPDX-License-Identifier: Apache-2.0 */
/* reduce - raw sums over the calibration rows of each site, emitted as one problem when every
 * chunk has been counted.
 *
 * The core, without sockets. Per site: S = sum_t w_t x_t x_t', sum w, sum w^2,
 * tokens, sequences, lengths, and where the rows of the full-precision model come along also D =
 * sum_t w_t (x~_t - x_t) x_t'. Two further sets may be kept from the same pass: the
 * sums of held-out chunks, which are then not in the main ones, and those of the main chunks
 * with every weight 1. One chunk is summed in f32 tiles (blas_gram) and added in f64: chunks in
 * chunk order within a lane, lanes in lane order, so the sums do not depend on arrival, on
 * workers or on threads. A chunk that was already counted is dropped; one that comes early
 * waits. Lanes may come summed, as partials of other reducers: added in lane order these are the
 * same bytes. Nothing is normalised here: whoever solves divides by sum w. Memory per open site:
 * K(K+1)/2 doubles for the total and for each lane that is not merged yet, K^2 more with D; with
 * classes a triangle more for each class, and D of those by modality. What is beyond opts.mem
 * lies in a spill file (reduce_slab.h): lanes that are done before their turn first, then the
 * total, then open lanes. The least is what a problem holds: it is sent whole. */
#ifndef PTQ_REDUCE_H
#define PTQ_REDUCE_H

#include "../../common/base/err.h"
#include "../../common/base/par.h"
#include "../../common/wire/msg.h"
#include "reduce_kept.h"
#include "reduce_sink.h"

/* Messages that each worker may have under way: one is added up while the next one comes, and one
 * more lets credit be given back for two at a time. More do not make a run faster, but its memory
 * uncertain. */
#define REDUCE_WINDOW 3
/* Of small ones as many as are no more bytes than so many of the largest: those of one wait for
 * each other, and wake threads once. */
#define REDUCE_SMALL 6

struct reduce;

struct reduce_opts {
    struct kept_how how;
    /* emit the sums of each lane as a partial as soon as its chunks are in, and pass weights on;
     * another reducer adds them up */
    int partial;
    /* modalities (1 << m) whose classes are summed elsewhere and come as partials; with
     * opts.partial the one that all rows here are of. 0: none */
    unsigned apart;
    int share; /* other reducers have the sites that do not come here */
    /* sites before this one are committed already: no rows of them come */
    uint64_t from_site;
    uint64_t mem;    /* bytes for these sums */
    const char *tmp; /* folder of the spill file; borrowed, used only when mem is not enough */
};

/* Takes the finished problem over (sets *m to NULL when it succeeds). */
typedef int (*reduce_emit)(void *ctx, struct msg **m, struct err *e);

/* par: borrowed */
struct reduce *reduce_open(const struct reduce_opts *o, struct par *par, reduce_emit emit,
                           void *ctx, struct err *e);
/* Counts one weights, acts or partial message; *m is taken over. Emits a problem when it completes
 * a site; with opts.partial a partial when it completes a lane. */
int reduce_push(struct reduce *r, struct msg **m, struct err *e);
/* The commit of a site: no rows of it are needed any more, whatever came of them; for a reducer in
 * the place of one that was lost. */
int reduce_skip(struct reduce *r, const struct msg *commit, uint64_t order, uint64_t sites,
                struct err *e);
/* The stream has ended: every site must have been emitted, of a share those of which anything
 * came; with opts.partial every lane of which anything came (ERR_DATA names what is missing). */
int reduce_finish(struct reduce *r, struct err *e);
/* Sites emitted so far (opts.partial: lanes of sites), and how many sites there are (0 before the
 * first message). */
void reduce_progress(const struct reduce *r, uint64_t *emitted, uint64_t *sites);
/* The first site of which the first token of each row holds nearly all energy; NULL: none so far,
 * or rows came as sums of other reducers. */
const struct reduce_sink *reduce_sink(const struct reduce *r);
/* Most bytes of sums in memory at once so far (beyond opts.mem: a problem alone takes more), and
 * in the spill file. */
void reduce_memory(const struct reduce *r, uint64_t *held, uint64_t *spilled);
void reduce_close(struct reduce **r);

#endif
