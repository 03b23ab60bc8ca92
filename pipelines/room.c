/* SPDX-License-Identifier: Apache-2.0 */
/* room - see room.h. The programs load the same libraries as this one, so what this one has of
 * address space is what they begin with. Left out: what malloc reserves for threads, which takes
 * less where there is less. */
#include "room.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../common/base/bytes.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/tensor/blas.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/solve/solve_forecast.h"
#include "../stages/solve/solve_opts.h"
#include "control.h"
#include "foresight.h"

/* The reducer has the most descriptors open: 53 beside shared memory were seen at once (with
 * libzmq 4.3), and each peer is a connection. One more than there may be aborts ZeroMQ. */
#define FILES_OWN 54
#define LINK_THREADS 4 /* two of ZeroMQ, one of each of two links */

/* Of this process; 0 where the system does not tell. */
static double own_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    const int n = f ? fscanf(f, "%lu", &pages) : 0;

    if (f)
        fclose(f);
    return n == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) : 0;
}

/* Of the threads of a process. */
static double stacks(int64_t threads)
{
    struct rlimit r;
    const int known = getrlimit(RLIMIT_STACK, &r) == 0 && r.rlim_cur != RLIM_INFINITY;

    return known ? (double)(threads - 1 + LINK_THREADS) * (double)r.rlim_cur : 0;
}

static int fits(const char *stage, double bytes, double limit, struct err *e)
{
    char a[BYTES_TEXT], b[BYTES_TEXT];

    return bytes <= limit
               ? 0
               : err_set(e, ERR_SYS,
                         "a process of stage '%s' takes at least %s of address space, but it is "
                         "limited to %s (ulimit -v): raise the limit, or let the run take "
                         "less (fewer threads, shorter sequences, less --mem; see ptq plan)",
                         stage, bytes_text(bytes, a), bytes_text(limit, b));
}

/* The name in the recipe of the first stage with this program. */
static const char *name_of(const struct route *t, const struct stage *s)
{
    for (size_t i = 0; i < t->r->nstages; i++)
        if (t->stage[i] == s)
            return t->r->stage[i].name;
    return s->spec->name;
}

static int check_solvers(const struct route *t, const struct forecast *all, double own,
                         double limit, struct err *e)
{
    const struct stage *s;

    for (size_t i = 0; (s = route_stage(t, &solve_spec, i)); i++) {
        const double buffers = (double)s->threads * (double)BLAS_BUFFER + stacks(s->threads);
        const struct solve_opts *o = &((const struct solve_command *)s->own)->core;
        uint64_t bytes = 0;

        if (all && solve_forecast_memory(o, o->solver, all, &bytes, e) < 0)
            return -1;
        if (fits(name_of(t, s), own + buffers + (double)bytes, limit, e) < 0)
            return -1;
    }
    return 0;
}

/* More than the machine has: what was meant to bound the memory of a process bounds nothing. */
static void say_more(const struct route *t)
{
    char a[BYTES_TEXT], b[BYTES_TEXT];
    const double memory = mem_machine();

    for (size_t i = 0; i < t->r->nstages; i++)
        if (t->stage[i] && t->stage[i]->spec->mem && (double)t->stage[i]->mem > memory) {
            log_warn("--mem of stage '%s' is %s, and this machine has %s: it bounds nothing; ptq "
                     "plan says what the stages take",
                     t->r->stage[i].name, bytes_text((double)t->stage[i]->mem, a),
                     bytes_text(memory, b));
            return;
        }
}

int room_check(const struct route *t, const struct config *c, const struct sites *sites,
               struct err *e)
{
    const struct stage *f = route_stage(t, &forward_spec, 0), *r = route_stage(t, &reduce_spec, 0);
    struct foresight x;
    struct rlimit r_as;
    double limit, own;
    int known;

    say_more(t);
    if (getrlimit(RLIMIT_AS, &r_as) != 0 || r_as.rlim_cur == RLIM_INFINITY)
        return 0;
    limit = (double)r_as.rlim_cur;
    own = own_bytes();
    known = foresight_make(t, c, sites, &x);
    if (known &&
        (fits(name_of(t, f), own + stacks(f->threads) + (double)x.forward.bytes, limit, e) < 0 ||
         fits(name_of(t, r), own + stacks(r->threads) + (double)x.reduce.bytes, limit, e) < 0))
        return -1;
    return check_solvers(t, known ? &x.all : NULL, own, limit, e);
}

/* Shared memory may have two eighths of the descriptors (common/wire/share_parts.h); the head waits
 * for two pipes of each process. */
int room_files(const struct launch *l, struct err *e)
{
    const size_t head = 1 + 2 * l->count + CONTROL_FDS, stage = (FILES_OWN + l->count) * 4 / 3;
    const size_t needed = head > stage ? head : stage;
    struct rlimit files;
    int ours = 0;

    for (size_t i = 0; i < l->count; i++)
        ours |= l->process[i].ours;
    if (!ours || getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max >= needed)
        return 0;
    return err_set(e, ERR_SYS,
                   "a process of this run of %zu processes takes up to %zu file descriptors, but "
                   "it is limited to %llu (ulimit -n): raise the limit (ulimit -n %zu)",
                   l->count, needed, (unsigned long long)files.rlim_max,
                   needed > 256 ? needed : 256);
}

void room_suspect(char *out, size_t size)
{
    char text[BYTES_TEXT];
    struct rlimit as;

    *out = 0;
    if (getrlimit(RLIMIT_AS, &as) == 0 && as.rlim_cur != RLIM_INFINITY)
        snprintf(out, size,
                 "; its address space is limited to %s (ulimit -v): too little may end a process "
                 "so, see ptq plan",
                 bytes_text((double)as.rlim_cur, text));
}
