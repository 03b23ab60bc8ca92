/* SPDX-License-Identifier: Apache-2.0 */
/* cost - see cost.h. */
#include "cost.h"

#include <math.h>
#include <string.h>
#include "family.h"
#include "op.h"
#include "vision.h"

static void op_cost(const struct program *p, const struct op *o, const struct op_load *l,
                    struct op_cost *c)
{
    const struct program_slot *s = &p->slot[o->out];
    const double n = l->tokens * (double)(s->top * s->width);

    if (o->kind->cost)
        o->kind->cost(p, o, l, c);
    else
        *c = (struct op_cost){o->kind->flops * n, o->kind->moved * sizeof(float) * n};
}

static void add_work(const struct program *p, const struct op_load *l, struct cost *out)
{
    for (size_t i = 0; i < p->nops; i++) {
        struct op_cost c = {0, 0};

        op_cost(p, &p->op[i], l, &c);
        out->flops += c.flops;
        out->bytes += c.bytes;
    }
}

int cost_of(const struct config *c, double tokens, double length, size_t chunk, enum dtype rows,
            struct cost *out, struct err *e)
{
    const struct op_load l = {tokens, length};
    int rc = 0;

    memset(out, 0, sizeof *out);
    for (size_t b = 0; b < c->layers && rc == 0; b++) {
        struct program p;
        size_t room = 0, kept;

        rc = family_program(c, b, &p, e) < 0 || program_room(&p, chunk, &room, e) < 0 ? -1 : 0;
        if (rc == 0) {
            add_work(&p, &l, out);
            kept = program_kept_most(&p, 1, dtype_size(rows));
            out->room = room > out->room ? room : out->room;
            out->kept = kept > out->kept ? kept : out->kept;
        }
        program_release(&p);
    }
    return rc;
}

int cost_tower(const struct config *c, size_t patches, double *bytes, struct err *e)
{
    const struct vision *v = c->vision;
    /* a cell of patches becomes one row, then a feature */
    const double cell = (double)(v->merge * v->merge * v->d), d = (double)v->d,
                 joins = sizeof(float) * (cell * fmax(cell, (double)v->out) +
                                          2 * (double)patches * d + (double)patches * d);
    double most = joins;
    int rc = 0;

    for (size_t b = 0; b < v->run && rc == 0; b++) {
        struct program p;
        size_t room = 0;
        double weights = 0;

        rc = vision_program(v, b, &p, e) < 0 || program_room(&p, patches, &room, e) < 0 ? -1 : 0;
        for (size_t i = 0; rc == 0 && i < p.nops; i++)
            if (p.op[i].kind == &op_linear)
                weights += sizeof(float) * (double)p.op[i].tensor[0].shape[0] *
                           (double)p.op[i].tensor[0].shape[1];
        most = fmax(most, (double)room + weights);
        program_release(&p);
    }
    *bytes = sizeof(float) * (double)patches * d + most;
    return rc;
}
