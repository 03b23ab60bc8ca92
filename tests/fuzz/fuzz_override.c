/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_override - files of overrides; what is taken must give the same lines when its own texts
 * are read again. */
#include <stdlib.h>
#include <string.h>

#include "../../common/run/override.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct override *x)
{
    struct overrides o = OVERRIDES_NONE;
    struct err e = {0};

    if (overrides_add(&o, x->text, strlen(x->text), "again", &e) || o.count != 1 ||
        strcmp(o.at[0].text, x->text) != 0 || strcmp(o.at[0].pattern, x->pattern) != 0)
        abort();
    overrides_release(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct overrides o = OVERRIDES_NONE;
    struct override_values v;
    struct err e = {0};

    overrides_parse(&o, (const char *)data, size, "fuzz", &e);
    for (size_t i = 0; i < o.count && i < 64; i++)
        again(&o.at[i]);
    overrides_of(&o, 3, "mlp.down", "model.layers.3.mlp.down_proj", &v);
    if (v.bits < 0 || v.bits > 8)
        abort();
    overrides_release(&o);
    return 0;
}
