/* SPDX-License-Identifier: Apache-2.0 */
/* forecast - what the stages of a run know of each other before it starts: sizes that follow from
 * the model and from the options.
 *
 * Here is only what passes from one stage to another. What a process of a stage takes stands
 * beside that stage, in its X_forecast.h: each fills in what it decides for the others (the
 * sampler the chunks, the forward stage the rows, the reducer the sums of a problem, in that
 * order), then works out its own from the whole. Reads no weights. */
#ifndef PTQ_FORECAST_H
#define PTQ_FORECAST_H

#include <stddef.h>
#include <stdint.h>
#include "../model/products.h"
#include "../model/sites.h"
#include "../tensor/dtype.h"

#define FORECAST_MIB ((double)(1 << 20))

/* Pictures, as the first chunks of the data have them. All 0: there are none, or none are known. */
struct forecast_pictures {
    uint64_t bytes, rows; /* pixels of a chunk, and rows of them (tiles, patches), at most */
    uint64_t most;        /* rows of a picture, at most */
    uint64_t decoded;     /* bytes of a picture as RGB, at most */
    double mean;          /* rows of the pixels of a chunk, on average */
    double tokens;        /* of pictures, of all that there are */
};

struct forecast {
    /* by forecast_model: most inputs of a site, weights of a site, weights of a linear */
    double inputs, weights, linear;
    /* and the sums of all sites that are ready together, over those of the widest: 1, more where
     * there are experts */
    double together;
    /* by the sampler; length, lengths: the longest sequence, how many different ones; chunk:
     * tokens of the largest chunk; modalities: that tokens can be of */
    uint64_t tokens, length, lengths, chunk, chunks, lanes, modalities;
    int weighed; /* by it or by the forward stage: the rows of a chunk may differ in weight */
    struct forecast_pictures pictures;
    /* by the forward stage: the type of rows; those of the full-precision stream are there too */
    enum dtype acts;
    int dual;
    /* by the reducer: bytes of rows that one worker may have under way */
    uint64_t credit;
    /* and bytes of the sums in the largest problem; those of classes among them; whether there
     * are sums of held-out chunks */
    double sums, apart;
    int holds_out;
    /* by the caller: processes of the stages that may have several, and cores that they share;
     * reducers share the sites (0: one) */
    size_t forwards, reducers, solvers, sharers, cores;
    size_t weighted; /* sites for which chunks bring a weight of each token (ptq-importance) */
};

void forecast_model(struct forecast *f, const struct sites *sites);

/* Flops a second of a core that goes through blocks forwards and back: small models on this CPU,
 * larger ones take up to half less time. */
double forecast_back_rate(enum products p);
/* Bytes of sums in f64 over the most inputs: all K^2 of D, the triangle of S. */
double forecast_square(const struct forecast *f);
double forecast_triangle(const struct forecast *f);
/* Bytes of the weights of the largest site as 16-bit numbers, as checkpoints have them. */
double forecast_source(const struct forecast *f);
/* Bytes of the rows of the largest chunk at the widest site; with those of the second stream. */
double forecast_rows(const struct forecast *f);
double forecast_message(const struct forecast *f);
/* Chunks of one forward worker, at most: lanes are dealt to workers whole. */
double forecast_share(const struct forecast *f);
/* Threads of each of so many processes that share the cores. */
double forecast_threads(const struct forecast *f, size_t processes);
/* Bytes that a process which runs blocks takes beside its program, its libraries with their
 * kernels, and what it allocates by shapes: sockets, and each thread with what is kept for it. */
double forecast_blocks(double threads);

#endif
