/* SPDX-License-Identifier: Apache-2.0 */
/* model_cache - a cache of keys and values as the programs of a model's blocks need it. */
#include <stdlib.h>
#include "../base/mem.h"
#include "model.h"
#include "model_parts.h"
#include "op.h"

struct layers {
    struct kv_layer *at;
    size_t count, room;
};

static int layers_of(struct layers *l, const struct program *p, size_t block, struct err *e)
{
    for (size_t i = 0; i < p->nops; i++) {
        if (!p->op[i].kind->caches)
            continue;
        if (mem_grow((void **)&l->at, &l->room, l->count + 1, sizeof *l->at, e) < 0)
            return -1;
        l->at[l->count] = (struct kv_layer){.block = block};
        p->op[i].kind->caches(&p->op[i], &l->at[l->count++]);
    }
    return 0;
}

struct kv_cache *model_cache(const struct model *m, size_t slots, size_t room, struct err *e)
{
    struct layers l = {0};
    struct kv_cache *kv = NULL;
    int rc = 0;

    for (size_t b = 0; b < m->c.layers && rc == 0; b++) {
        struct program p;

        rc = family_program(&m->c, b, &p, e);
        if (rc == 0)
            rc = layers_of(&l, &p, b, e);
        program_release(&p);
    }
    if (rc == 0)
        kv = kv_open(l.at, l.count, slots, room, e);
    free(l.at);
    return kv;
}
