/* SPDX-License-Identifier: Apache-2.0 */
/* preview - what a run would do, worked out from config, tensor names and options: which linears
 * get what, the size of the output, the work, the memory of each stage. Reads no weights, runs no
 * stage. What a stage takes its own X_forecast.h says, the bytes of a linear its format; here
 * they are put together. */
#ifndef PTQ_PREVIEW_H
#define PTQ_PREVIEW_H

#include <stddef.h>
#include <stdint.h>
#include "../../../common/base/err.h"
#include "../../../common/format/format.h"
#include "../../../common/model/sites.h"
#include "../../../common/run/forecast.h"
#include "../../../common/run/override.h"
#include "../../../stages/forward/forward.h"
#include "../../../stages/importance/importance_types.h"
#include "../../../stages/reduce/reduce_opts.h"
#include "../../../stages/sample/sample.h"
#include "../../../stages/slide/slide_forecast.h"
#include "../../../stages/solve/solver.h"

/* Peak resident bytes of the programs, with their products but without data. reduce_both: more of
 * a reducer that multiplies rows in bf16 and in f32. */
struct preview_base {
    uint64_t sample, forward, reduce, reduce_both, solve, slide, slope, importance, write;
};

/* The options of the stages, as they have checked them, and how many processes they get. */
struct preview_opts {
    const char *model; /* folder */
    const struct sample_opts *sample;
    const struct forward_opts *forward;
    const struct importance_opts *importance; /* NULL: the recipe has none */
    const struct reduce_command *reduce;
    /* NULL: the recipe has none; else it stands for forward, reduce and solve, whose processes
     * are 0: solve says what the linears become, forward nothing, and there is no reduce */
    const struct slide_opts *slide;
    const struct solve_opts *solve;
    const struct format *formats[FORMATS_MAX]; /* sizes are those of the first */
    size_t nformats;
    size_t forwards, importances, reducers, solvers, cores;
    size_t sharers; /* that work on parts of the steps of slide */
    struct preview_base base;
};

/* Linears that are alike after the overrides. */
struct preview_class {
    int kept, bits;
    int64_t group;
    const struct grid *grid; /* NULL: as the run says */
    const char *solver;      /* NULL: as the run says */
    size_t linears;
    uint64_t weights, bytes; /* bytes: in the output */
};

struct preview_hit { /* of an override line */
    /* that it hits; of them those for which later lines leave something of it */
    size_t linears, decides;
    uint64_t weights;
};

struct preview_split {       /* sites of one name that engines fuse */
    const struct site *site; /* the first of them */
    size_t blocks;           /* in which its linears now differ */
};

#define PREVIEW_CLASSES 256

/* Peak resident bytes of one process of a stage. */
struct preview_memory {
    uint64_t sample, importance, forward, reduce, solve, slide, slope, write;
    uint64_t all;                /* of all processes together */
    uint64_t hidden, spilled;    /* hidden states of a forward process: in memory, in its file */
    uint64_t sums, sums_spilled; /* of the reducer: in memory, and the most that lies in its file */
};

struct preview {
    struct config config;
    struct sites table;
    size_t sites, solved; /* solved: sites that a solver works on */
    size_t nclasses;
    struct preview_class class[PREVIEW_CLASSES];
    struct preview_hit *hit;     /* [overrides->count]; owned */
    struct preview_split *split; /* [nsplit]; owned */
    size_t nsplit;
    uint64_t source, output; /* tensor bytes */
    uint64_t other;          /* of them: embeddings, norms, biases, head: copied in any case */
    double bits, bits_all;   /* a quantized weight takes; a weight of the whole checkpoint takes */
    double qr, qb;           /* share of the linears' weights that is quantized; those to a scale */
    double seconds_importance, flops_importance, flops_forward, flops_reduce, flops_solve;
    struct slide_forecast slide;
    struct preview_memory memory;
    struct forecast run; /* chunks, lanes, streams */
};

/* Errors are those the run would end with: a pattern that hits nothing, a group that does not
 * divide, ... *p is to be released in any case. */
int preview_make(const struct preview_opts *o, struct preview *p, struct err *e);
void preview_release(struct preview *p);

/* Measured, from the commands beside this one; where one does not start, a usual value. Call it
 * before anything that takes memory: a process begins with the peak of the one that starts it. */
struct preview_base preview_base(void);

/* Private: the linears and the sites one by one (preview_linears.c), with *f as the stages have
 * made it; then memory, over the solvers of the classes. */
int preview_linears(const struct preview_opts *o, const struct forecast *f, struct preview *p,
                    struct err *e);

/* Who loads what would be written in this format (engine.h); empty: nothing is quantized. */
void preview_engines(const struct preview *p, const struct preview_opts *o,
                     const struct format *format, char *out, size_t room);

/* On stdout. */
void preview_print(const struct preview *p, const struct preview_opts *o);
int preview_print_json(const struct preview *p, const struct preview_opts *o, struct err *e);

#endif
