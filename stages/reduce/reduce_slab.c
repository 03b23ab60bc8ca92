/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_slab - see reduce_slab.h. All slabs are in one list; they are few. */
#include "reduce_slab.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/spill.h"
#include "../../common/wire/share.h"

/* for the next lane, S and D of three sets: new memory costs more than adding up where sites are
 * small */
#define SPARES 6
#define BLOCK ((size_t)1 << 17) /* doubles that are read at a time to be added */

struct place {
    uint64_t at;
    size_t count;
};

struct slabs {
    uint64_t budget, held, most; /* held: bytes in memory, spare ones too */
    struct spill file;
    uint64_t end, longest; /* of the file */
    struct place *free;    /* places whose slabs went, or are in memory */
    size_t nfree, free_cap;
    struct {
        double *at;
        size_t count;
    } spare[SPARES];
    size_t nspare;
    struct slab *first;
};

struct slabs *slabs_open(uint64_t budget, const char *tmp_dir, struct err *e)
{
    struct slabs *a = mem_array(1, sizeof *a, e);

    if (!a)
        return NULL;
    a->budget = budget;
    a->file = (struct spill)SPILL_IN(tmp_dir);
    return a;
}

uint64_t slabs_held(const struct slabs *a)
{
    return a->most;
}

uint64_t slabs_spilled(const struct slabs *a)
{
    return a->longest;
}

static uint64_t bytes_of(size_t count)
{
    return (uint64_t)count * sizeof(double);
}

static void memory_free(struct slabs *a, double *x, size_t count)
{
    a->held -= bytes_of(count);
    share_free(x);
}

/* The memory of a slab is not needed by it any more. */
static void memory_back(struct slabs *a, double *x, size_t count)
{
    if (a->nspare == SPARES) {
        memory_free(a, x, count);
        return;
    }
    a->spare[a->nspare].at = x;
    a->spare[a->nspare++].count = count;
}

/* Spare memory of this size; NULL: there is none. */
static double *spare_take(struct slabs *a, size_t count)
{
    for (size_t i = 0; i < a->nspare; i++)
        if (a->spare[i].count == count) {
            double *x = a->spare[i].at;

            a->spare[i] = a->spare[--a->nspare];
            return x;
        }
    return NULL;
}

static void spare_free(struct slabs *a)
{
    a->nspare--;
    memory_free(a, a->spare[a->nspare].at, a->spare[a->nspare].count);
}

void slabs_close(struct slabs **ap)
{
    struct slabs *a = ap ? *ap : NULL;

    if (!a)
        return;
    while (a->nspare)
        spare_free(a);
    spill_close(&a->file);
    free(a->free);
    free(a);
    *ap = NULL;
}

static void place_find(struct slabs *a, struct slab *x)
{
    for (size_t i = 0; i < a->nfree; i++)
        if (a->free[i].count == x->count) {
            x->place = a->free[i].at;
            a->free[i] = a->free[--a->nfree];
            return;
        }
    x->place = a->end;
    a->end += bytes_of(x->count);
    if (a->end > a->longest)
        a->longest = a->end;
}

/* Nothing of a slab is in the file any more. */
static void place_back(struct slabs *a, const struct slab *x)
{
    if (mem_grow((void **)&a->free, &a->free_cap, a->nfree + 1, sizeof *a->free, NULL) == 0)
        a->free[a->nfree++] = (struct place){x->place, x->count};
}

static int park(struct slabs *a, struct slab *x, struct err *e)
{
    place_find(a, x);
    if (spill_write(&a->file, x->at, x->count * sizeof *x->at, x->place, e) < 0) {
        place_back(a, x);
        return -1;
    }
    memory_back(a, x->at, x->count);
    x->at = NULL;
    return 0;
}

/* Who goes first; NULL: all that are in memory are in use. */
static struct slab *victim_of(const struct slabs *a)
{
    struct slab *best = NULL;

    for (struct slab *x = a->first; x; x = x->next)
        if (x->at && !x->uses && (!best || x->home->rank > best->home->rank))
            best = x;
    return best;
}

/* Memory for count doubles: spare, or new within the budget, or that of a slab that goes, or,
 * when none can go, beyond the budget. */
static double *memory_for(struct slabs *a, size_t count, struct err *e)
{
    for (;;) {
        struct slab *victim = NULL;
        double *spare = spare_take(a, count);

        if (spare)
            return spare;
        if (bytes_of(count) <= a->budget && a->held <= a->budget - bytes_of(count))
            break;
        if (a->nspare) {
            spare_free(a);
            mem_trim();
        } else if (!(victim = victim_of(a)))
            break;
        else if (park(a, victim, e) < 0)
            return NULL;
    }
    double *x = share_raw(count * sizeof *x, e);

    a->held += x ? bytes_of(count) : 0;
    if (a->held > a->most)
        a->most = a->held;
    return x;
}

struct slab *slab_create(const struct slab_home *home, size_t count, struct err *e)
{
    struct slabs *a = home->slabs;
    struct slab *x = mem_array(1, sizeof *x, e);

    if (!x)
        return NULL;
    if (!(x->at = memory_for(a, count, e))) {
        free(x);
        return NULL;
    }
    memset(x->at, 0, count * sizeof *x->at);
    x->count = count;
    x->home = home;
    x->uses = 1;
    if ((x->next = a->first))
        a->first->prev = x;
    a->first = x;
    return x;
}

int slab_use(struct slab *x, struct err *e)
{
    struct slabs *a = x->home->slabs;

    if (!x->at) {
        double *at = memory_for(a, x->count, e);

        if (!at)
            return -1;
        if (spill_read(&a->file, at, x->count * sizeof *at, x->place, e) < 0) {
            memory_back(a, at, x->count);
            return -1;
        }
        x->at = at;
        place_back(a, x);
    }
    x->uses++;
    return 0;
}

int slab_ready(struct slab **x, const struct slab_home *home, size_t count, struct err *e)
{
    return *x ? slab_use(*x, e) : (*x = slab_create(home, count, e)) ? 0 : -1;
}

void slab_leave(struct slab *x)
{
    x->uses--;
}

/* to[count] += what lies at place */
static int add_from_file(struct slabs *a, uint64_t place, double *to, size_t count, struct err *e)
{
    double *block = mem_raw(count < BLOCK ? count : BLOCK, sizeof *block, e);
    int rc = block ? 0 : -1;

    for (size_t i = 0, n; rc == 0 && i < count; i += n) {
        n = count - i < BLOCK ? count - i : BLOCK;
        rc = spill_read(&a->file, block, n * sizeof *block, place + bytes_of(i), e);
        for (size_t k = 0; rc == 0 && k < n; k++)
            to[i + k] += block[k];
    }
    free(block);
    return rc;
}

/* At least one of the two is in memory; the sum stays there. */
static int add_slab(struct slab *to, struct slab *from, struct err *e)
{
    struct slabs *a = to->home->slabs;

    if (!from->at)
        return add_from_file(a, from->place, to->at, to->count, e);
    if (!to->at) {
        if (add_from_file(a, to->place, from->at, to->count, e) < 0)
            return -1;
        to->at = from->at; /* they change places */
        from->at = NULL;
        from->place = to->place;
        return 0;
    }
    for (size_t i = 0; i < to->count; i++)
        to->at[i] += from->at[i];
    return 0;
}

int slab_merge(struct slab **to, struct slab **from, const struct slab_home *home, struct err *e)
{
    if (!*from)
        return 0;
    if (!*to) {
        (*from)->home = home;
        *to = *from;
        *from = NULL;
        return 0;
    }
    if ((*to)->count != (*from)->count)
        return err_set(e, ERR_SYS, "slabs of %zu and of %zu numbers cannot be added", (*to)->count,
                       (*from)->count);
    if (!(*to)->at && !(*from)->at) {
        if (slab_use(*to, e) < 0)
            return -1;
        slab_leave(*to); /* none goes until another needs memory */
    }
    if (add_slab(*to, *from, e) < 0)
        return -1;
    slab_destroy(from);
    return 0;
}

/* With the last slab the spare memory goes, and the file is empty again. */
static void slab_gone(struct slab **xp)
{
    struct slab *x = *xp;
    struct slabs *a = x->home->slabs;

    *(x->prev ? &x->prev->next : &a->first) = x->next;
    if (x->next)
        x->next->prev = x->prev;
    free(x);
    *xp = NULL;
    if (a->first)
        return;
    while (a->nspare)
        spare_free(a);
    a->nfree = 0;
    if (a->end && spill_empty(&a->file) == 0)
        a->end = 0;
}

double *slab_take(struct slab **x)
{
    double *at = (*x)->at;

    (*x)->home->slabs->held -= bytes_of((*x)->count);
    slab_gone(x);
    return at;
}

void slab_destroy(struct slab **xp)
{
    struct slab *x = xp ? *xp : NULL;

    if (!x)
        return;
    if (x->at)
        memory_back(x->home->slabs, x->at, x->count);
    else
        place_back(x->home->slabs, x);
    slab_gone(xp);
}
