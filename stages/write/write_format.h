/* SPDX-License-Identifier: Apache-2.0 */
/* write_format - the contract of an output format: one file ending in one const struct
 * output_format, one line in write_formats.c. A format is asked about each solution when it
 * comes (a run must not fail at its end for what was known at its start), and at the end it
 * fills one folder from the source checkpoint and the part files.
 *
 * Formats made of safetensors share write_assemble.c and give it a struct layout: which tensors
 * replace NAME.weight, and what stands in config.json. Output bytes depend on the model and the
 * solutions alone: no times, paths, hosts. */
#ifndef PTQ_WRITE_FORMAT_H
#define PTQ_WRITE_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/base/json.h"
#include "../../common/tensor/safetensors.h"
#include "write_plan.h"

struct assembly {
    const struct plan *plan; /* every site done */
    const char *folder;      /* exists, empty: the format fills it */
    const char *parts;       /* folder of the part files */
    const char *prov;        /* provenance for the metadata: JSON text */
    uint64_t shard_bytes;    /* tensor bytes of a weight file, about */
    uint64_t bytes;          /* out: tensor bytes written */
};

struct output_format {
    const char *name;  /* "gptq" */
    const char *about; /* one line for --help */
    /* Can this linear be stored? Called for each linear of each solution that is not kept as it
     * is. */
    int (*check)(const struct plan *p, const struct plan_linear *l, const struct solution_linear *s,
                 struct err *e);
    int (*assemble)(struct assembly *a, struct err *e);
};

const struct output_format *format_find(const char *name); /* NULL: unknown */

/* The commit of one site, read back from its part file; *m is the caller's. */
int assemble_part(const char *parts, const struct plan *p, size_t order, struct msg **m,
                  struct solution_view *v, struct err *e);

#define LAYOUT_TENSORS 4
struct layout_tensor {
    char name[TENSOR_NAME];
    enum dtype dtype;
    int ndim;
    uint64_t shape[2];
};
struct layout {
    /* The tensors that stand for l's weight; how many, -1. */
    int (*describe)(const struct plan_linear *l, struct layout_tensor t[LAYOUT_TENSORS],
                    struct err *e);
    int (*put)(const struct plan_linear *l, const struct solution_linear *s, struct st_writer *w,
               struct err *e);
    /* The quantization_config (config.json's dtype then becomes that of the scales); an error
     * when nothing was quantized. NULL: config.json stays as it is. */
    struct json *(*config)(const struct plan *p, struct err *e);
    const char *config_copy; /* file that holds quantization_config alone; NULL: none */
};
int assemble_safetensors(struct assembly *a, const struct layout *layout, struct err *e);

/* config.json of the source with `quantization_config` (NULL: none) added and the dtype field
 * set (DT_COUNT: as it is); everything else stays as the source spells it. Caller frees. */
char *config_edit(const char *text, size_t length, const struct json *quantization,
                  enum dtype dtype, const char *what, struct err *e);

#endif
