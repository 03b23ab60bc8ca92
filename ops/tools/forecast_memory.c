/* forecast_memory - peak resident memory of one process of each stage.
 *
 * What a stage allocates follows from shapes: hidden states (tokens x d f32, tokens x Kmax rows; twice with the full-precision stream), one
 * site's linears in f32, triangles in f64 for every lane in progress and for the total, square matrices of a solver. What waits between two
 * stages depends on their speeds; the number of messages under way is a fit to runs on two cores (1 to 2 workers, 4,096 to 65,536 tokens, 10M
 * and 135M weights), bounded by the credit of a link. The constants of a process were measured too: its libraries, and what a thread of
 * BLAS or oneDNN keeps. A run that another load slows down differs by a few messages. */
#include "forecast.h"

#define MIB ((double)(1 << 20))
#define CHUNK_TOKENS 2048u   /* ptq-sample's default */
#define LANES 8u
#define CREDIT (64.0 * MIB)  /* ptq-reduce's default, for each worker */

enum { BASE_FORWARD = 17, BASE_REDUCE = 10, BASE_SOLVE = 11, BASE_WRITE = 9 }; /* MiB */
#define PER_THREAD (3.75 * MIB)

/* What the largest site of each kind of need takes. */
struct needs {
    double K;                /* most inputs */
    double f32, source;      /* most bytes of the linears of a site, as f32 and as the checkpoint has them */
    double weights;          /* most weights of a site */
    double square;           /* K^2 f64 of the widest site that is solved */
};

struct shares {
    double chunk, chunks;    /* tokens of a chunk; chunks of the run */
    double mine;             /* chunks of one worker */
    double message;          /* bytes of the rows of a chunk at the widest site */
};

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

static struct needs needs_of(const struct config *c)
{
    struct needs n = {0};

    for (int s = 0; s < SITE_COUNT; s++) {
        struct site_info site;
        double weights = 0;

        site_describe(c, 0, (enum site)s, &site);
        for (size_t i = 0; i < site.count; i++)
            weights += (double)site.linear[i].rows * (double)site.inputs;
        n.K = most(n.K, (double)site.inputs);
        n.weights = most(n.weights, weights);
    }
    n.f32 = 4 * n.weights;
    n.source = 2 * n.weights;
    n.square = 8 * n.K * n.K;
    return n;
}

/* Whole sequences fill a chunk; lanes are dealt to workers whole. */
static struct shares shares_of(const struct forecast_opts *o, const struct needs *n)
{
    const uint64_t rows = CHUNK_TOKENS / o->length, chunk = o->length * (rows ? rows : 1);
    const uint64_t chunks = (o->tokens + chunk - 1) / chunk, lanes = chunks < LANES ? chunks : LANES;
    const uint64_t dealt = lanes ? (lanes + o->forwards - 1) / o->forwards : 0;
    struct shares s = {.chunks = (double)chunks, .chunk = (double)(chunk < o->tokens ? chunk : o->tokens)};

    s.mine = lanes ? (double)((dealt * chunks + lanes - 1) / lanes) : 0;
    s.message = s.chunk * n->K * (double)dtype_size(o->acts) * (o->dual ? 2 : 1);
    return s;
}

static double threads_of(size_t cores, size_t processes)
{
    return (double)(cores > processes ? cores / processes : 1);
}

static double forward_bytes(const struct forecast_opts *o, struct forecast *f, const struct needs *n, const struct shares *s)
{
    const struct config *c = &f->config;
    const double ways = o->dual ? 2 : 1, area = s->chunk * (4 * (double)c->d + n->K * (double)dtype_size(o->acts));
    const double hidden = ways * s->mine * area, heads = (double)((c->heads + 2 * c->kv_heads) * c->head_dim);
    const double scratch = 4 * most(s->chunk * heads, least(s->chunk, 1024) * (double)c->ff);
    const double waiting = least(s->message * least(s->mine, 5 + s->mine / 12), CREDIT + s->message);
    double held = hidden;

    if (hidden > (double)o->mem)
        held = (double)o->mem - (double)((uint64_t)(double)o->mem % (uint64_t)(area > 1 ? area : 1)) + ways * area;
    f->memory.hidden = (uint64_t)held;
    f->memory.spilled = hidden > (double)o->mem ? (uint64_t)(hidden - held + ways * area) : 0;
    return BASE_FORWARD * MIB + threads_of(o->cores, o->forwards) * PER_THREAD + held + 8 * s->chunk * n->K + scratch + ways * n->f32 +
           n->source + s->message + waiting;
}

static double reduce_bytes(const struct forecast_opts *o, const struct needs *n, const struct shares *s)
{
    const double lanes = least((double)o->forwards, s->chunks) + 1; /* one a worker, and the total */
    const double sums = n->square / 2 + (o->dual ? n->square : 0), rows = 4 * s->chunk * n->K * (o->dual ? 2 : 1);
    const double under_way = least(s->chunks + 1, 3.5 + s->chunks / 6 + 2 * ((double)o->forwards - 1));
    const double waiting = least(s->message * under_way, (double)o->forwards * (CREDIT + s->message));

    return BASE_REDUCE * MIB + threads_of(o->cores, 1) * PER_THREAD + lanes * sums + n->square / 2 /* a tile in f32 */ + rows + s->message +
           sums + n->source /* the problem on its way */ + waiting;
}

static double solve_bytes(const struct forecast_opts *o, const struct needs *n)
{
    return BASE_SOLVE * MIB + threads_of(o->cores, o->solvers) * PER_THREAD + (o->dual ? 6.4 : 3.2) * n->square + n->source + n->weights;
}

void forecast_memory(const struct forecast_opts *o, struct forecast *f)
{
    const struct needs n = needs_of(&f->config);
    const struct shares s = shares_of(o, &n);

    f->memory.forward = (uint64_t)forward_bytes(o, f, &n, &s);
    f->memory.reduce = (uint64_t)reduce_bytes(o, &n, &s);
    f->memory.solve = (uint64_t)solve_bytes(o, &n);
    f->memory.write = (uint64_t)(BASE_WRITE * MIB + 2 * n.weights);
}
