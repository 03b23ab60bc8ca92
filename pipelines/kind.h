/* SPDX-License-Identifier: Apache-2.0 */
/* kind - which of our programs a process of a run is. */
#ifndef PTQ_KIND_H
#define PTQ_KIND_H

#include "../common/base/stage.h"
#include "supervise_state.h"

/* Of process i; NULL: none of ours, or the run's recipe is not known. */
const struct stage_spec *kind_of(const struct supervise *s, size_t i);

#endif
