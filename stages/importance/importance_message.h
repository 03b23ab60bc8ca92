/* SPDX-License-Identifier: Apache-2.0 */
/* importance_message - a chunk with what was made of it. Private to the stage. */
#ifndef PTQ_IMPORTANCE_MESSAGE_H
#define PTQ_IMPORTANCE_MESSAGE_H

#include "../../common/model/model.h"
#include "importance_types.h"

/* A chunk has room for weights of each site of the model. */
int message_check_sites(const struct sites *s, struct err *e);
/* The chunk of h with its weights (h->g [sites, T]) at the sites that the method goes by, its
 * provenance and a run of its own. model: its fingerprint. ratio [sites]: what a row of an image
 * is to count there; with o->ratios this goes out, and no weights. */
struct msg *message_make(const struct model *m, const struct importance_opts *o, uint64_t model,
                         const struct importance_held *h, const double *ratio, struct err *e);

#endif
