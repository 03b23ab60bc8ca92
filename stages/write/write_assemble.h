/* SPDX-License-Identifier: Apache-2.0 */
/* write_assemble - from the source checkpoint and the part files to the folder of a checkpoint in
 * one of the formats of common/format. Output bytes depend on the model and the solutions alone: no
 * times, paths, hosts. Private to the stage. */
#ifndef PTQ_WRITE_ASSEMBLE_H
#define PTQ_WRITE_ASSEMBLE_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/base/json.h"
#include "write_plan.h"

/* Takes the codes of a linear that is not kept. */
typedef int assembly_take(void *arg, const struct plan_linear *l, const struct coded *c,
                          struct err *e);

struct assembly {
    const struct plan *plan; /* every site done, or what stands for it in every linear */
    const char *folder;      /* exists, empty: the format fills it */
    const char *parts;       /* folder of the part files */
    /* Gives the codes of every linear, one after the other. */
    int (*codes)(const struct assembly *a, assembly_take *take, void *arg, struct err *e);
    void *from;           /* its own */
    const char *prov;     /* provenance for the metadata: JSON text */
    uint64_t shard_bytes; /* tensor bytes of a weight file, about */
    int head_bits;        /* as in struct write_opts */
    int head;             /* the last linear of the plan is the head: head_codes() has its codes */
    uint64_t bytes;       /* out: tensor bytes written */
};

/* The commit of one site, read back from its part file; *m is the caller's. ERR_USE: it is not
 * there as it was written. */
int assemble_part(const char *parts, const struct plan *p, size_t order, struct msg **m,
                  struct solution_view *v, struct err *e);
/* Says what to do about that, behind the error; -1. */
int part_advise(struct err *e);

/* A tensor that a solution has changed, from the part of its site: *m is the caller's, the tensor
 * is its. NULL: an error. */
const struct tensor *assemble_changed(const struct plan *p, const char *parts,
                                      const struct plan_changed *c, struct msg **m, struct err *e);

/* As `codes` of struct assembly: from the part files. */
int assemble_codes(const struct assembly *a, assembly_take *take, void *arg, struct err *e);

/* All files of the checkpoint. */
int assemble_checkpoint(struct assembly *a, const struct format *f, struct err *e);
/* The same of a format that is a GGUF file. */
int assemble_gguf(struct assembly *a, const struct format *f, struct err *e);

/* README.md, the model card: what was done, who loads it; bytes, head_bits: as in struct
 * assembly. Caller frees. */
char *card_text(const struct plan *p, const struct format *f, uint64_t bytes, int head_bits,
                struct err *e);

/* Writes it; a->bytes are known. */
int card_publish(const struct assembly *a, const struct format *f, struct err *e);

/* config.json of the source with `quantization_config` (NULL: none) added and the dtype field
 * set (DT_COUNT: as it is); everything else stays as the source spells it. Caller frees. */
char *config_edit(const char *text, size_t length, const struct json *quantization,
                  enum dtype dtype, const char *what, struct err *e);

#endif
