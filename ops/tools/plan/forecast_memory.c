/* SPDX-License-Identifier: Apache-2.0 */
/* forecast_memory - peak resident memory of one process of each stage.
 *
 * Three parts. What a stage allocates follows from shapes and is counted here as the stages
 * allocate it: hidden states, one site's linears in f32, triangles and squares in f64, the rows
 * of a chunk. What its program takes before it has done anything comes from forecast_base.c,
 * measured on the spot. The rest are constants and shares that were measured on runs of 1 to 4
 * workers, 2,048 to 65,536 tokens, 10M and 135M weights, on quiet and on busy machines: kernels
 * made at run time, threads, and freed blocks that malloc keeps for later in reduce (only those
 * up to 32 MiB: larger ones go back at once; forward works in one room that it keeps). These are
 * what the 15% of the manual are for. */
#include "forecast.h"

#include <math.h>
#include <string.h>
#include "../../../common/model/attention.h"
#include "../../../common/tensor/blas_cpu.h"
#include "../../../stages/reduce/reduce.h"
#include "../../../stages/solve/solve_opts.h"
#include "../../../stages/solve/solve_tile.h"

#define MIB ((double)(1 << 20))
#define CHUNK_TOKENS 2048u /* ptq-sample's defaults */
#define LANES 8u
/* lanes that are done before their turn: of one chunk; of several */
#define EARLY 0.25
#define EARLY_LONG 0.75
#define KEPT_CLASSES 2.0 /* triangles of merged lanes that malloc keeps */
/* the largest block that malloc keeps: glibc's DEFAULT_MMAP_THRESHOLD_MAX */
#define KEPT_BLOCK (32.0 * MIB)

/* Of a process at work, beyond its program: kernels, sockets, and each thread with what BLAS or
 * oneDNN keeps for it; in the reducer more where it multiplies both bf16 and f32. The two small
 * stages: with their program. */
#define OWN_FORWARD (3 * MIB)
#define WIDE_FORWARD (6 * MIB) /* more with the kernels for AVX-512 */
#define OWN_REDUCE (3 * MIB)
#define OWN_SOLVE (1 * MIB)
#define FACTOR_SOLVE (1 * MIB) /* of all solvers that factor a matrix */
#define FLOAT_REDUCE (7.5 * MIB)
#define ALL_SAMPLE (9.5 * MIB)
#define ALL_WRITE (9.3 * MIB)
#define THREAD_FORWARD (1.9 * MIB)
#define THREAD_REDUCE (2.8 * MIB)
#define THREAD_SOLVE (1.5 * MIB)

/* What the largest site of each kind of need takes. */
struct needs {
    double K; /* most inputs */
    /* most bytes of the linears of a site, as f32 and as the checkpoint has them */
    double f32, source;
    double weights, linear;  /* most weights of a site, of a linear */
    double square, triangle; /* K^2 and K (K + 1) / 2 f64 */
};

struct shares {
    double chunk, chunks, lanes; /* tokens of the largest chunk; chunks and lanes of the run */
    double mine;                 /* chunks of one worker */
    /* bytes of the rows of a chunk at the widest site; with those of the second stream */
    double tensor, message;
};

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

static struct needs needs_of(const struct sites *sites)
{
    struct needs n = {0};

    for (size_t s = 0; s < sites->count; s++) {
        const struct site *site = &sites->site[s];
        double weights = 0;

        for (size_t i = 0; i < site->count; i++) {
            const double w = (double)site->linear[i].rows * (double)site->inputs;

            weights += w;
            n.linear = most(n.linear, w);
        }
        n.K = most(n.K, (double)site->inputs);
        n.weights = most(n.weights, weights);
    }
    n.f32 = 4 * n.weights;
    n.source = 2 * n.weights;
    n.square = 8 * n.K * n.K;
    n.triangle = 4 * n.K * (n.K + 1);
    return n;
}

static uint64_t chunk_tokens(const struct forecast_opts *o)
{
    const uint64_t rows = CHUNK_TOKENS / o->length;

    return o->length * (rows ? rows : 1);
}

size_t forecast_chunk(const struct forecast_opts *o)
{
    const uint64_t chunk = chunk_tokens(o);

    return (size_t)(chunk < o->tokens ? chunk : o->tokens);
}

/* Lanes are dealt to workers whole. */
static struct shares shares_of(const struct forecast_opts *o, const struct needs *n)
{
    const uint64_t chunk = chunk_tokens(o);
    const uint64_t chunks = (o->tokens + chunk - 1) / chunk,
                   lanes = chunks < LANES ? chunks : LANES;
    const uint64_t dealt = lanes ? (lanes + o->forwards - 1) / o->forwards : 0;
    struct shares s = {
        .chunks = (double)chunks, .lanes = (double)lanes, .chunk = (double)forecast_chunk(o)};

    s.mine = lanes ? (double)((dealt * chunks + lanes - 1) / lanes) : 0;
    s.tensor = s.chunk * n->K * (double)dtype_size(o->acts);
    s.message = s.tensor * (o->dual ? 2 : 1);
    return s;
}

static double threads_of(size_t cores, size_t processes)
{
    return (double)(cores > processes ? cores / processes : 1);
}

/* Hidden states in memory, as forward.c divides --mem between the streams. */
static double held_of(const struct forecast_opts *o, struct forecast *f, const struct shares *s)
{
    const double ways = o->dual ? 2 : 1,
                 area = s->chunk * (4 * (double)f->config.d + (double)f->cost.kept);
    const double share = (double)o->mem / ways, all = s->mine * area;
    double slots = 0, held = all;

    if (all > share) {
        while (area * (slots + 2) <= share)
            slots++;
        held = area * (slots + 1);
    }
    f->memory.hidden = (uint64_t)(ways * held);
    f->memory.spilled = all > share ? (uint64_t)(ways * (all - area * slots)) : 0;
    return ways * held;
}

static double forward_bytes(const struct forecast_opts *o, struct forecast *f,
                            const struct needs *n, const struct shares *s)
{
    const double ways = o->dual ? 2 : 1, threads = threads_of(o->cores, o->forwards);
    const double scores =
        4 * threads * least((double)o->length, ATTENTION_QUERIES) * (double)o->length;
    const double waiting =
        least(s->message * least(2.5, s->mine), (double)REDUCE_CREDIT + s->message);
    const double own = OWN_FORWARD + (blas_cpu().avx512 ? WIDE_FORWARD : 0);

    return own + threads * THREAD_FORWARD + held_of(o, f, s) + (double)f->cost.room + scores +
           ways * n->f32 + n->source + waiting;
}

/* The sums of classes: one triangle each, and D of those by modality where there is one. */
static double apart_of(const struct forecast_opts *o, const struct needs *n)
{
    return (double)o->classes * n->triangle +
           (double)o->modalities * (n->triangle + (o->dual ? n->square : 0));
}

/* The total and the lanes that are not merged yet: one of each worker, and of two or more
 * workers some that were done before their turn (measured; 2 x workers - 1 at most). A lane of
 * several chunks may have held one of them out. Of all these what --mem allows, in whole
 * triangles, but not less than the total, which is sent as a problem. */
static double reduce_sums(const struct forecast_opts *o, struct forecast *f, const struct needs *n,
                          const struct shares *s)
{
    const int long_lanes = s->chunks > s->lanes;
    const double early = o->forwards == 1 ? 0 : long_lanes ? EARLY_LONG : EARLY;
    const double lanes = least(s->lanes, (double)o->forwards + early),
                 set = n->triangle + (o->dual ? n->square : 0);
    const double apart = apart_of(o, n), held = o->holdout > 0, plain = o->plain != 0;
    const double both =
        held > 0 && long_lanes ? least(1, s->chunks / s->lanes / (double)o->holdout) : 0;
    const double problem = set * (1 + held + plain) + apart;
    const double all = problem + lanes * (set * (1 + plain + both) + apart),
                 fit = floor(2 * (double)o->sums_mem / n->square);
    const double sums = most(problem, least(all, fit * n->square / 2));

    f->memory.sums = (uint64_t)sums;
    f->memory.sums_spilled = (uint64_t)(all - sums);
    return sums;
}

/* All that a worker may have under way is there at some moment: it fills its window while rows
 * are added up. */
static double reduce_bytes(const struct forecast_opts *o, struct forecast *f, const struct needs *n,
                           const struct shares *s)
{
    const int both = o->acts == DT_BF16 && blas_cpu().bf16 && (o->plain || o->dual || o->classes);
    const double cells = s->chunk * n->K,
                 widened = o->acts == DT_BF16 && !blas_cpu().bf16 ? 4 * cells : 0;
    /* rows of one modality are copied together, where a chunk has more */
    const double picked = o->modalities > 1 ? s->message : 0;
    const double rows = 4 * cells * (o->dual || o->classes ? 2 : 1) + widened + picked,
                 tile = 4 * n->K * n->K;
    const double window = least(REDUCE_WINDOW, s->mine) * (double)o->forwards,
                 kept = s->tensor <= KEPT_BLOCK ? 0.4 : 0;
    const double waiting =
        least(window * s->message, (double)o->forwards * ((double)REDUCE_CREDIT + s->message)) +
        kept * s->message;
    const double freed =
        (o->classes || o->modalities) && n->triangle <= KEPT_BLOCK ? KEPT_CLASSES * n->triangle : 0;

    return OWN_REDUCE + threads_of(o->cores, 1) * THREAD_REDUCE + (both ? FLOAT_REDUCE : 0) +
           reduce_sums(o, f, n, s) + freed + tile + rows + n->source + waiting;
}

/* Squares that a solver has alive beside H and D, and f64 copies of a linear. */
static double solver_squares(const char *name, int dual, double *copies)
{
    const char *inner = solver_inner(name);

    *copies = strncmp(name, "qronos", 6) == 0 || inner ? 1 : 0;
    if (inner)
        return 1 + solver_squares(inner, dual, &(double){0});
    if (strcmp(name, "rtn") == 0)
        return 0;
    if (strcmp(name, "rescomp") == 0)
        return 3;
    return strcmp(name, "gptaq") == 0 || (strcmp(name, "foem") == 0 && dual) ? 2 : 1;
}

/* Of one --solver, all its contenders: what is alive while it works. */
static double solver_bytes(const struct forecast_opts *o, const char *solver, const struct needs *n)
{
    const double sums = 1 + (o->dual != 0),
                 tile = SOLVE_TILE * 8 * n->K * threads_of(o->cores, o->solvers);
    double own = 0, copies = 0, copied;
    struct contenders c;

    if (contenders_parse(solver, &c, NULL))
        return 0;
    for (size_t i = 0; i < c.count; i++) {
        own = most(own, solver_squares(c.name[i], o->dual, &copied));
        copies = most(copies, copied);
    }
    return n->square * (own + sums * (c.contest && o->holdout ? 2 : 1)) + copies * 8 * n->linear +
           n->source + n->weights * (c.contest ? 2 : 1) +
           (own > 0 ? 5 * tile + FACTOR_SOLVE : 3 * tile);
}

/* A problem as it comes, while squares are made of it (half of the first before S goes, the
 * second beside D); or what is alive afterwards. */
static double solve_bytes(const struct forecast_opts *o, const struct forecast *f,
                          const struct needs *n)
{
    const double sets = 1 + (o->holdout > 0) + (o->plain != 0), apart = apart_of(o, n);
    const double problem = sets * (n->triangle + (o->dual ? n->square : 0)) + n->source + apart;
    double alive = solver_bytes(o, o->solver, n);

    for (size_t i = 0; i < f->nclasses; i++)
        if (f->class[i].solver)
            alive = most(alive, solver_bytes(o, f->class[i].solver, n));
    alive = most(alive + apart, problem + (o->dual ? 2 * n->square - n->triangle : n->triangle));
    return OWN_SOLVE + threads_of(o->cores, o->solvers) * THREAD_SOLVE + alive;
}

void forecast_memory(const struct forecast_opts *o, struct forecast *f)
{
    const struct needs n = needs_of(&f->table);
    const struct shares s = shares_of(o, &n);
    struct forecast_memory *m = &f->memory;

    m->sample = (uint64_t)(ALL_SAMPLE + 6.3 * (double)o->tokenizer + 4 * (double)o->tokens);
    m->forward = o->base.forward + (uint64_t)forward_bytes(o, f, &n, &s);
    m->reduce = o->base.reduce + (uint64_t)reduce_bytes(o, f, &n, &s);
    m->solve = o->base.solve + (uint64_t)solve_bytes(o, f, &n);
    m->write = (uint64_t)(ALL_WRITE + 2.7 * n.weights);
    m->all = m->sample + m->forward * o->forwards + m->reduce + m->solve * o->solvers + m->write;
}
