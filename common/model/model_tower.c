/* SPDX-License-Identifier: Apache-2.0 */
/* model_tower - opening the tower of a model that sees images: under which name the file has it,
 * and that its blocks are there. */
#include <stdio.h>
#include <string.h>
#include "model_parts.h"
#include "op.h"
#include "vision.h"

static int has_prefix(const struct st_set *st, const char *prefix)
{
    for (size_t i = 0; i < st->count; i++)
        if (strncmp(st->entries[i].name, prefix, strlen(prefix)) == 0)
            return 1;
    return 0;
}

static int check_block(struct model *m, size_t block, struct err *e)
{
    struct program p;
    int rc = vision_program(m->c.vision, block, &p, e);

    for (size_t i = 0; rc == 0 && i < p.nops; i++)
        for (size_t t = 0; rc == 0 && t < p.op[i].kind->tensors; t++)
            rc = model_check_tensor(m, &p.op[i].tensor[t], p.op[i].kind == &op_linear, e);
    program_release(&p);
    return rc;
}

int model_open_tower(struct model *m, struct err *e)
{
    struct vision *v = m->c.vision;
    int rc = 0;

    for (size_t i = 0; v && v->kind->prefixes[i]; i++)
        if (has_prefix(m->st, v->kind->prefixes[i])) {
            v->prefix = v->kind->prefixes[i];
            break;
        }
    for (size_t b = 0; v && rc == 0 && b < v->run; b++)
        rc = check_block(m, b, e);
    return rc;
}
