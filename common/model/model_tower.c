/* SPDX-License-Identifier: Apache-2.0 */
/* model_tower - opening the tower of a model that sees images: its blocks are there. */
#include <stdio.h>
#include <string.h>
#include "model.h"
#include "model_parts.h"
#include "op.h"
#include "vision.h"

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

int model_use_tower(struct config *c, const char *dir, struct err *e)
{
    struct st_set *st;

    if (vision_quantize(c, dir, e) < 0 || !(st = st_open_folder(dir, e)))
        return -1;
    vision_find(c->vision, st);
    st_close(&st);
    return 0;
}

int model_find_tower(struct config *c, const struct st_set *st, struct err *e)
{
    int rc = 0, found = 0;

    if (!c->vision)
        return 0;
    vision_find(c->vision, st);
    for (size_t b = 0; b < c->vision->run && rc == 0 && !found; b++) {
        struct program p;

        rc = vision_program(c->vision, b, &p, e);
        for (size_t i = 0; rc == 0 && i < p.nops && !found; i++) {
            const char *name = p.op[i].tensor[0].name;
            char linear[TENSOR_NAME];

            if (p.op[i].kind != &op_linear)
                continue;
            snprintf(linear, sizeof linear, "%.*s", (int)(strlen(name) - strlen(".weight")), name);
            found = format_packed(st, linear) != NULL;
        }
        program_release(&p);
    }
    c->vision->quantized = found;
    return rc;
}

int model_open_tower(struct model *m, struct err *e)
{
    struct vision *v = m->c.vision;
    int rc = 0;

    for (size_t b = 0; v && rc == 0 && b < v->run; b++)
        rc = check_block(m, b, e);
    return rc;
}
