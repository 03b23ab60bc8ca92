/* SPDX-License-Identifier: Apache-2.0 */
/* forward_images - the rows of images by themselves, for a reducer that sums no others. Private to
 * the stage. */
#ifndef PTQ_FORWARD_IMAGES_H
#define PTQ_FORWARD_IMAGES_H

#include "../../common/model/model.h"
#include "forward_types.h"

struct forward;

/* Of the rows b of chunk i at a site those of images, through io->emit_images: acts like those of
 * an expert, one row that counts nothing where there are none. w: of all tokens of the chunk, NULL:
 * 1. kept: what each way keeps, with the rows among it. */
int forward_images_emit(const struct forward *f, size_t i, const struct site *s,
                        const struct block_rows *b, const float *w, char *const kept[2],
                        const struct forward_io *io, struct err *e);

#endif
