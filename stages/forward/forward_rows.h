/* SPDX-License-Identifier: Apache-2.0 */
/* forward_rows - what the rows of a chunk bear at one site: the weights that came for this site,
 * and whatever else came with the chunk that this stage does not know. Private to the stage. */
#ifndef PTQ_FORWARD_ROWS_H
#define PTQ_FORWARD_ROWS_H

#include "../../common/model/sites.h"
#include "../../common/wire/msg_chunk.h"

/* ERR_USE: a site is weighed that the model does not have, or a tensor that is to be handed on is
 * called as one of acts. */
int rows_check(const struct msg *chunk, const struct chunk_view *v, const struct sites *sites,
               struct err *e);
/* Weights w [T] (NULL: all 1) times those of the chunk for this site, in to [T]; w itself when it
 * has none. */
const float *rows_weigh(const struct chunk_view *v, const struct site *s, const float *w,
                        float *to);
/* Fields and tensors of the chunk that are not known here go into its acts. */
int rows_hand_on(const struct msg *chunk, struct msg *acts, struct err *e);

#endif
