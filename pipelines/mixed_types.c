/* SPDX-License-Identifier: Apache-2.0 */
/* mixed_types - see mixed_types.h. */
#include "mixed_types.h"

int mixed_wanted(const struct mixed_opts *o)
{
    return o->bpw > 0 || o->qr > 0 || o->kl > 0;
}

const char *mixed_target_name(const struct mixed_opts *o)
{
    return o->qr > 0 ? "target-qr" : o->kl > 0 ? "max-kl" : "target-bpw";
}

double mixed_target(const struct mixed_opts *o)
{
    return o->qr > 0 ? o->qr : o->kl > 0 ? o->kl : o->bpw;
}
