/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_sink - see reduce_sink.h. */
#include "reduce_sink.h"

#include <stdio.h>

#define SHARE 0.7 /* from here on it is said */

void sink_add(struct reduce_sink *x, const struct sums_scratch *t)
{
    x->energy += t->energy;
    x->first += t->first_energy;
}

void sink_join(struct reduce_sink *x, const struct reduce_sink *y)
{
    x->energy += y->energy;
    x->first += y->first;
}

void sink_note(struct reduce_sink *noted, const struct reduce_sink *x, uint64_t block,
               const char *site)
{
    if (noted->share > 0 || !(x->first > 0) || x->first < SHARE * x->energy)
        return;
    noted->share = x->first / x->energy;
    snprintf(noted->name, sizeof noted->name, "b%llu.%s", (unsigned long long)block, site);
}
