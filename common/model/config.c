/* SPDX-License-Identifier: Apache-2.0 */
/* config - see config.h. */
#include "config.h"

#include <string.h>

void config_release(struct config *c)
{
    json_destroy(&c->json);
    memset(c, 0, sizeof *c);
}
