/* SPDX-License-Identifier: Apache-2.0 */
/* forward_site - one site of one block in the run: its place, its weights on the way out, its
 * commit on the way in. Private to the stage. */
#ifndef PTQ_FORWARD_SITE_H
#define PTQ_FORWARD_SITE_H

#include "forward.h"

struct site_at {
    size_t block;
    enum site site;
    uint64_t order, sites; /* place in the run */
    struct site_info info;
    size_t before_inputs; /* K of the site before it in the block */
};

void site_at_init(struct site_at *at, const struct config *c, size_t block, enum site s);
/* The weights message of the site, in the checkpoint's own types. */
int site_emit_weights(struct model *m, const struct site_at *at, const struct json *prov,
                      const char *run, const struct forward_io *io, struct err *e);
/* Dequantizes a commit into the block; it must be this site's, with every linear in its shape. */
int site_set_commit(struct block *b, const struct site_at *at, const struct msg *m, struct err *e);
/* The chunks' provenance with this stage's record behind it. */
struct json *site_prov(const struct json *before, const struct model *m,
                       const struct forward_opts *o, struct err *e);

#endif
