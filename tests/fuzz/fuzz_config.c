/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_config - config.json from anywhere. What it accepts must be describable: every site has
 * names and sizes above zero. */
#include <stdlib.h>
#include "../../common/model/config.h"
#include "../../common/model/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c;
    struct err e = {0};
    struct site_info info;

    if (config_parse((const char *)data, size, "config.json", &c, &e) < 0)
        return 0;
    for (int s = 0; s < SITE_COUNT; s++) {
        site_describe(&c, c.layers - 1, (enum site)s, &info);
        if (info.count == 0 || info.inputs == 0 || info.linear[info.count - 1].rows == 0)
            abort();
    }
    config_release(&c);
    return 0;
}
