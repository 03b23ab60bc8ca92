/* SPDX-License-Identifier: Apache-2.0 */
/* products - see products.h. */
#include "products.h"

#include <string.h>

const struct opt_choice products_choices[] = {
    {"f32", PRODUCTS_F32}, {"bf16", PRODUCTS_BF16}, {"bf16x2", PRODUCTS_BF16X2}, {NULL, 0}};

const char *products_name(enum products p)
{
    return products_choices[p].name;
}

int products_find(const char *name, enum products *p)
{
    for (const struct opt_choice *c = products_choices; name && c->name; c++)
        if (strcmp(name, c->name) == 0) {
            *p = (enum products)c->value;
            return 0;
        }
    return -1;
}
