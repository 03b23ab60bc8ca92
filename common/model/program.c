/* SPDX-License-Identifier: Apache-2.0 */
/* program - the end of one. It is built in program_build.c; sites and stops: program_sites.c;
 * places in memory: program_place.c. */
#include "program.h"

#include <stdlib.h>
#include <string.h>

void program_release(struct program *p)
{
    for (size_t i = 0; i < p->nops; i++)
        for (size_t t = 0; t < OP_TENSORS; t++) {
            free(p->op[i].tensor[t].name);
            free(p->op[i].tensor[t].whole);
        }
    free(p->op);
    free(p->slot);
    free(p->site);
    free(p->stop);
    free(p->prefix);
    memset(p, 0, sizeof *p);
}
