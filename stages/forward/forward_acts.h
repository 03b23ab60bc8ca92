/* SPDX-License-Identifier: Apache-2.0 */
/* forward_acts - a chunk at a site as acts say it, and their message. Private to the stage. */
#ifndef PTQ_FORWARD_ACTS_H
#define PTQ_FORWARD_ACTS_H

#include "forward_impl.h"
#include "forward_site.h"

struct acts_view forward_acts(const struct forward *f, size_t i, const struct site *s);
/* Of some of its tokens only. a borrows from part. */
void forward_acts_part(struct acts_view *a, const struct site_part *part);
/* The message without its rows, which go to x[0], and with two ways to x[1]. */
struct msg *forward_acts_message(const struct forward *f, size_t i, const struct acts_view *a,
                                 void *x[2], struct err *e);

#endif
