/* SPDX-License-Identifier: Apache-2.0 */
/* kind - see kind.h. */
#include "kind.h"

const struct stage_spec *kind_of(const struct supervise *s, size_t i)
{
    const struct route *t = s->change.route;
    const struct stage *st = t ? t->stage[s->plan->process[i].stage] : NULL;

    return st && s->plan->process[i].ours ? st->spec : NULL;
}
