/* SPDX-License-Identifier: Apache-2.0 */
/* forward_site - one site of one block in the run: its place, its weights on the way out, its
 * commit on the way in. Private to the stage. */
#ifndef PTQ_FORWARD_SITE_H
#define PTQ_FORWARD_SITE_H

#include "../../common/model/model.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_solution.h"
#include "forward_types.h"

/* The weights message of a site of `sites`, in the checkpoint's own types. first: of chunk 0, which
 * may say what counts how much at the site. */
int site_emit_weights(struct model *m, const struct site *s, size_t sites,
                      const struct chunk_view *first, const struct json *prov, const char *run,
                      const struct forward_io *io, struct err *e);
/* Every linear of the site is there in its shape, on a grid that is known. */
int site_check_commit(const struct site *s, const struct solution_view *v, struct err *e);
/* Dequantizes a commit into the block, as site `at` of it; it must be this site's, with every
 * linear in its shape. */
int site_set_commit(struct block *b, const struct site *s, size_t at, const struct msg *m,
                    struct err *e);
/* The rows of a site that only some tokens of a chunk have: what its message says of them. A site
 * without any gets one row of zeros that counts nothing. */
struct site_part {
    size_t T, nseq;
    int32_t *lengths;  /* [nseq] */
    float *w;          /* [T] */
    uint8_t *modality; /* [T]; NULL: the chunk does not say it */
};
int site_part_make(struct site_part *p, const struct block_rows *b, const struct rows *r,
                   const float *w, const uint8_t *modality, struct err *e);
void site_part_release(struct site_part *p);
/* What this stage is and was asked for, whatever the machine; fails when it is used. */
struct json *site_record(const struct model *m, const struct forward_opts *o);
/* The chunks' provenance with this record and the machine's kernel behind it. */
struct json *site_prov(const struct json *before, const struct model *m,
                       const struct forward_opts *o, struct err *e);

#endif
