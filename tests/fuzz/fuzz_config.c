/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_config - config.json from anywhere. What it accepts must be describable: every site has
 * names and sizes above zero. */
#include <stdlib.h>
#include "../../common/model/config.h"
#include "../../common/model/config_read.h"
#include "../../common/model/sites.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c;
    struct err e = {0};
    struct sites s;

    if (config_parse((const char *)data, size, "config.json", &c, &e) < 0)
        return 0;
    if (c.layers <= 64 && sites_make(&s, &c, &e) == 0) {
        for (size_t i = 0; i < s.count; i++)
            if (!s.site[i].count || !s.site[i].inputs || !s.site[i].linear[0].rows)
                abort();
        sites_release(&s);
    } else if (c.layers <= 64)
        abort();
    config_release(&c);
    return 0;
}
