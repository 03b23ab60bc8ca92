/* SPDX-License-Identifier: Apache-2.0 */
/* engine - which programs that others made load what a format writes: a table for each format, in
 * its descriptor. What is asked of a row are limits that were met when checkpoints of ours were
 * loaded there (README, "Serve it"), not what its manual promises. `ptq run`, `ptq plan` and the
 * model card say what engine_text says. */
#ifndef PTQ_ENGINE_H
#define PTQ_ENGINE_H

#include "format.h"

struct engine {
    const char *name; /* "vLLM"; NULL ends a table */
    unsigned bits;    /* bit b is set: it takes codes of b bits */
    unsigned gpu;     /* of these: on a GPU only */
    int floats;       /* takes grids whose levels are floating-point numbers */
    int floats_gpu;   /* of these: on a GPU only */
    int zeros;        /* takes zero points other than 2^(bits-1) */
    int kept;         /* and linears that are not quantized among those that are */
    int mixed;        /* and more than one kind of bits, group, zero points */
    int parts;        /* and different kinds within what engines fuse (q k v; gate up), and among
                         the experts of a block */
    int head;         /* and a quantized head: as its source says where it was not tried */
    int permuted;     /* and groups that are not of inputs that follow each other */
    int (*group)(int bits, int64_t group); /* 1: it takes that; NULL: any */
    /* NULL, or what else of the linear it does not take; NULL: nothing else is asked */
    const char *(*refuses)(const struct format_linear *l);
    const char *use;       /* how it is called: a line of code, DIR in it */
    const char *use_zeros; /* the same where there are zero points; NULL: as else */
    int untried; /* its limits were read from its source alone: the model card names it, nobody
                        else does */
};

#define SGLANG "python -m sglang.launch_server --model-path DIR"
/* What its Marlin kernels multiply (SGLang 0.5): whole tiles; NULL: that. */
const char *engine_tiles(const struct format_linear *l);

#define ENGINES_MAX 8
#define ENGINE_ZEROS "zero points" /* a reason why one does not load it */
/* What was seen of a checkpoint, linear by linear. */
struct engine_look {
    const struct engine *table;
    struct format_linear kind; /* of the first that is quantized; bits 0: none was */
    struct format_linear last;
    struct format_linear expert; /* the first of the experts of the block that was seen last */
    int zeros;                   /* one of them has zero points */
    char no[ENGINES_MAX][64];    /* why that engine does not load it; "": it does */
    int gpu[ENGINES_MAX];
};

void engine_start(struct engine_look *x, const struct format *f);
/* A linear, as it is or is to be stored, in the order of struct format_model. */
void engine_add(struct engine_look *x, const struct format_linear *l);
/* How row i of its table is called for this checkpoint. */
const char *engine_use(const struct engine_look *x, size_t i);
/* "transformers, GPTQModel; not vLLM (3 bits)": of those that were tried. Returns how many load
 * it. */
size_t engine_text(const struct engine_look *x, char *out, size_t room);

/* Those of the table that need what they fuse, and the experts of a block, to be of one kind:
 * "vLLM", or "". */
const char *engine_together(const struct engine_look *x, char *out, size_t room);
/* 1: some engine does not load it for this reason. */
int engine_refused(const struct engine_look *x, const char *why);

#endif
