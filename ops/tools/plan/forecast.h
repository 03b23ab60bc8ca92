/* SPDX-License-Identifier: Apache-2.0 */
/* forecast - what a run would do, worked out from config, tensor names and options: which
 * linears get what, the size of the output, the work, the memory of each stage. Reads no
 * weights, runs no stage. */
#ifndef PTQ_FORECAST_H
#define PTQ_FORECAST_H

#include <stddef.h>
#include <stdint.h>
#include "../../../common/base/err.h"
#include "../../../common/format/format.h"
#include "../../../common/model/cost.h"
#include "../../../common/model/sites.h"
#include "../../../common/run/override.h"
#include "../../../common/tensor/dtype.h"

/* Peak resident bytes of the programs that compute, when they have done nothing yet. */
struct forecast_base {
    uint64_t forward, reduce, solve;
};

struct forecast_opts {
    const char *model; /* folder */
    int bits;
    int64_t group;
    enum dtype scale_type;
    const struct format *format;
    const struct grid *grid;
    const struct overrides *overrides;
    const char *solver;      /* as in ptq-solve */
    uint64_t tokens, length; /* of the calibration; of the longest sequence */
    int dual;                /* the full-precision stream runs beside */
    uint64_t holdout;        /* every so manyth chunk is held out; 0: none */
    uint64_t classes;        /* classes of rows whose sums are kept apart; 0: none */
    uint64_t modalities;     /* and of modalities, with D */
    int plain;               /* sums with weights of 1 are kept beside */
    enum dtype acts;
    uint64_t mem;      /* for hidden states, of each forward process */
    uint64_t sums_mem; /* for sums, of the reducer */
    size_t forwards, solvers, cores;
    struct forecast_base base;
    uint64_t tokenizer; /* bytes of tokenizer.json */
};

/* Linears that are alike after the overrides. */
struct forecast_class {
    int kept, bits;
    int64_t group;
    const struct grid *grid; /* NULL: as the run says */
    const char *solver;      /* NULL: as the run says */
    size_t linears;
    uint64_t weights, bytes; /* bytes: in the output */
};

struct forecast_hit { /* of an override line */
    /* that it hits; of them those for which later lines leave something of it */
    size_t linears, decides;
    uint64_t weights;
};

struct forecast_split {      /* sites of one name that engines fuse */
    const struct site *site; /* the first of them */
    size_t blocks;           /* in which its linears now differ */
};

#define FORECAST_CLASSES 256

/* Peak resident bytes of one process of a stage. */
struct forecast_memory {
    uint64_t sample, forward, reduce, solve, write;
    uint64_t all;                /* of all processes together */
    uint64_t hidden, spilled;    /* hidden states of a forward process: in memory, in its file */
    uint64_t sums, sums_spilled; /* of the reducer: in memory, and the most that lies in its file */
};

struct forecast {
    struct config config;
    struct sites table;
    struct cost cost;
    size_t sites, solved; /* solved: sites that a solver works on */
    size_t nclasses;
    struct forecast_class class[FORECAST_CLASSES];
    struct forecast_hit *hit;     /* [overrides->count]; owned */
    struct forecast_split *split; /* [nsplit]; owned */
    size_t nsplit;
    uint64_t source, output; /* tensor bytes */
    uint64_t other;          /* of them: embeddings, norms, biases, head: copied in any case */
    double bits, bits_all;   /* a quantized weight takes; a weight of the whole checkpoint takes */
    double flops_forward, flops_reduce, flops_solve;
    struct forecast_memory memory;
};

/* Errors are those the run would end with: a pattern that hits nothing, a group that does not
 * divide, ... *f is to be released in any case. */
int forecast_make(const struct forecast_opts *o, struct forecast *f, struct err *e);
void forecast_release(struct forecast *f);

/* Measured, from the commands beside this one; where one does not start, a usual value. Call it
 * before anything that takes memory: a process begins with the peak of the one that starts it. */
struct forecast_base forecast_base(void);

/* The memory part (forecast_memory.c); f->config and classes are there, o->solver is one that
 * contenders_parse takes. */
void forecast_memory(const struct forecast_opts *o, struct forecast *f);
/* Tokens of the largest chunk: whole sequences fill it. */
size_t forecast_chunk(const struct forecast_opts *o);

#endif
