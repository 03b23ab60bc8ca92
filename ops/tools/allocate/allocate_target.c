/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_target - see allocate_target.h. */
#include "allocate_target.h"

int allocate_target_count(const struct allocate_target *t, struct err *e)
{
    const int count = (t->bpw > 0) + (t->size > 0) + (t->qr > 0) + (t->kl > 0);

    return count < 2 ? count
                     : err_set(e, ERR_USE,
                               "say one of --target-bpw, --target-size, --target-qr and --max-kl");
}

const char *allocate_target_name(const struct allocate_target *t)
{
    return t->qr > 0 ? "target-qr" : t->kl > 0 ? "max-kl" : t->size ? "target-size" : "target-bpw";
}

double allocate_target_value(const struct allocate_target *t)
{
    return t->qr > 0 ? t->qr : t->kl > 0 ? t->kl : t->size ? (double)t->size : t->bpw;
}

double allocate_target_bits(const struct allocate_target *t, double weights)
{
    return t->size ? 8.0 * (double)t->size / weights : t->bpw;
}
