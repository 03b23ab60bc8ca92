/* SPDX-License-Identifier: Apache-2.0 */
/* config - see config.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

void config_release(struct config *c)
{
    json_destroy(&c->file);
    free(c->block);
    free(c->rope_factors[0]);
    free(c->rope_factors[1]);
    free(c->vision);
    memset(c, 0, sizeof *c);
}

size_t config_row(const struct config *c)
{
    return c->d + c->carry;
}

size_t config_window(const struct config *c, size_t block)
{
    return c->block[block] & BLOCK_WINDOW ? c->window : 0;
}

const struct rope_spec *config_rope(const struct config *c, size_t block)
{
    if (c->block[block] & BLOCK_NO_ROPE)
        return NULL;
    return c->block[block] & BLOCK_WINDOW ? &c->rope_window : &c->rope;
}
