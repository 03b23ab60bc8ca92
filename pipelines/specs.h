/* SPDX-License-Identifier: Apache-2.0 */
/* specs - the programs of ptqflow whose options the front door knows before it starts them.
 * ptq-plan is not among them: its words are those of ptq run. */
#ifndef PTQ_SPECS_H
#define PTQ_SPECS_H

#include "../common/base/stage.h"

/* Of "ptq-solve"; NULL: no program of ours. */
const struct stage_spec *specs_find(const char *program);
/* NULL past the end. */
const struct stage_spec *specs_at(size_t i);

#endif
