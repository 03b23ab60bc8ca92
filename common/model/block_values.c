/* SPDX-License-Identifier: Apache-2.0 */
/* block_values - see block_values.h. */
#include "block_values.h"

#include <stdlib.h>
#include "../base/mem.h"
#include "op.h"

int block_values_go_on(const struct op *o)
{
    return o->expert >= 0 || program_reads(o, o->out);
}

static void note_op(struct block_values *v, const struct op *o, size_t i, size_t *at)
{
    const size_t before = at[o->out];

    for (size_t n = 0; n < o->kind->inputs; n++) {
        v->in[i][n] = at[o->in[n]];
        if (o->kind->keeps >> n & 1)
            v->value[v->in[i][n]].kept = 1;
    }
    v->value[v->count] = (struct block_value){.slot = o->out, .before = before};
    v->out[i] = at[o->out] = v->count++;
}

int block_values_make(struct block_values *v, const struct program *p, size_t to,
                      const unsigned char *skipped, struct err *e)
{
    size_t *at = mem_array(p->nslots, sizeof *at, e); /* the value in each slot */

    *v = (struct block_values){0};
    if (!at || !(v->in = mem_array(p->nops, sizeof *v->in, e)) ||
        !(v->out = mem_array(p->nops, sizeof *v->out, e)) ||
        !(v->value = mem_array(p->nops + 1, sizeof *v->value, e))) {
        free(at);
        return -1;
    }
    for (size_t s = 0; s < p->nslots; s++)
        at[s] = SIZE_MAX;
    v->value[v->count] = (struct block_value){.slot = PROGRAM_STREAM, .before = SIZE_MAX};
    at[PROGRAM_STREAM] = v->count++;
    for (size_t i = 0; i < p->nops; i++) {
        v->out[i] = SIZE_MAX;
        if (i < to && !(skipped && skipped[i]))
            note_op(v, &p->op[i], i, at);
    }
    free(at);
    for (size_t i = 0; i < v->count; i++) {
        const size_t before = v->value[i].before;

        v->value[i].room = before != SIZE_MAX && !v->value[before].kept ? v->value[before].room : i;
    }
    return 0;
}

void block_values_release(struct block_values *v)
{
    free(v->in);
    free(v->out);
    free(v->value);
    *v = (struct block_values){0};
}

int block_values_begin(const struct block_values *v, const struct program *p, size_t i)
{
    return !block_values_go_on(&p->op[i]) || v->value[v->out[i]].before == SIZE_MAX;
}

static double floats_of(const struct program *p, int slot, size_t T)
{
    return (double)T * (double)(p->slot[slot].top * p->slot[slot].width);
}

/* The stream has its gradient to the end; each other slot from the last operation that reads it to
 * the first that writes it. */
double block_values_floats(const struct block_values *v, const struct program *p, size_t T)
{
    double held = 0, most;

    for (size_t i = 0; i < v->count; i++)
        held += v->value[i].room == i ? floats_of(p, v->value[i].slot, T) : 0;
    most = held += floats_of(p, PROGRAM_STREAM, T);
    for (size_t i = p->nops; i-- > 0;) {
        const struct op *o = &p->op[i];

        if (v->out[i] == SIZE_MAX)
            continue;
        for (size_t n = 0; n < o->kind->inputs; n++) {
            size_t later = i + 1;

            while (later < p->nops &&
                   (v->out[later] == SIZE_MAX || !program_reads(&p->op[later], o->in[n])))
                later++;
            if (o->in[n] != PROGRAM_STREAM && o->in[n] != o->out && later == p->nops)
                held += floats_of(p, o->in[n], T);
        }
        most = held > most ? held : most;
        if (v->value[v->out[i]].room == v->out[i])
            held -= floats_of(p, o->out, T);
        if (o->out != PROGRAM_STREAM && block_values_begin(v, p, i))
            held -= floats_of(p, o->out, T);
    }
    return most;
}
