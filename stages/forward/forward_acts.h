/* SPDX-License-Identifier: Apache-2.0 */
/* forward_acts - a chunk at a site, as acts say it: all but the rows. Private to the stage. */
#ifndef PTQ_FORWARD_ACTS_H
#define PTQ_FORWARD_ACTS_H

#include "forward_impl.h"

struct acts_view forward_acts(const struct forward *f, size_t i, const struct site *s);

#endif
