/* SPDX-License-Identifier: Apache-2.0 */
/* products - what the linears of sites are multiplied in: one table and one option for all who
 * run a model. */
#ifndef PTQ_PRODUCTS_H
#define PTQ_PRODUCTS_H

#include "../base/opt.h"

enum products {
    PRODUCTS_F32,
    /* rows and weights rounded to bf16, sums in f32; attention too where the CPU has it */
    PRODUCTS_BF16,
    PRODUCTS_BF16X2 /* linears alone, with what was left of the weights as a second product */
};

extern const struct opt_choice products_choices[];
const char *products_name(enum products p);
int products_find(const char *name, enum products *p); /* -1: there is none of that name */

/* The row of the option, of an enum products at offset `at`. */
#define PRODUCTS_OPT(at, by_default)                                                             \
    {                                                                                            \
        "products", OPT_CHOICE, at, "TYPE",                                                      \
            .help = "what linears are multiplied in, with sums in f32\n"                         \
                    "bf16: rows and weights are rounded to it, as engines do (several times as " \
                    "fast\nwhere the CPU has such products; the same numbers elsewhere)\n"       \
                    "bf16x2: what is left of the weights is multiplied too\nf32: not rounded",   \
            by_default, .choices = products_choices                                              \
    }

#endif
