/* SPDX-License-Identifier: Apache-2.0 */
/* solve_forecast - see solve_forecast.h.
 *
 * What is allocated follows from shapes: the problem as it comes, squares made of it, what the
 * solver's descriptor says, tiles. The rest are constants that were measured on runs with 10M and
 * 135M weights: kernels, sockets, and each thread with what BLAS keeps for it. */
#include "solve_forecast.h"

#include <math.h>
#include "../../common/base/mem.h"
#include "solve_band.h"

#define OWN (1 * FORECAST_MIB)
#define FACTOR (1 * FORECAST_MIB) /* of all solvers that factor a matrix */
#define THREAD (1 * FORECAST_MIB)
#define CODED 1.25 /* a row of a band, over its numbers in f64: codes and scales too */
#define PAGE 4096.0
#define LAID 0.16 /* of a square, the most that was measured (8192 and 14336 inputs) */

double solve_forecast_flops(double outputs, double inputs)
{
    return outputs * inputs * inputs + inputs * inputs * inputs / 3;
}

static int needs_dual(const char *solver, struct err *e)
{
    struct contenders c;

    if (contenders_parse(solver, &c, e) < 0)
        return -1;
    for (size_t i = 0; i < c.count; i++)
        if (contender_needs(c.name[i]) & SOLVER_NEEDS_D)
            return 1;
    return 0;
}

int solve_forecast_dual(const struct solve_opts *o, struct err *e)
{
    int dual = needs_dual(o->solver, e), one;

    for (size_t i = 0; o->overrides && i < o->overrides->count && dual >= 0; i++) {
        const struct override *x = &o->overrides->at[i];

        if (!x->v.solver)
            continue;
        if ((one = needs_dual(x->v.solver, e)) < 0)
            return err_prefix(e, "%s: '%s'", x->from, x->text);
        dual |= one;
    }
    return dual;
}

/* Squares beside H and D, and copies of a linear, of one contender. */
static void held_by(const char *name, int with_d, double *squares, double *copies)
{
    const struct solver *s = solver_find(name);
    const char *inner = solver_inner(name);
    double more = 0, copied = 0;

    if (inner)
        held_by(inner, with_d, &more, &copied);
    *squares = s->squares + (with_d ? s->squares_with_d : 0) + more;
    *copies = fmax(s->copies, copied);
}

/* Of a square of which one triangle is touched: pages are, and rows end within one. */
static double half_square(const struct forecast *f)
{
    return fmin(forecast_square(f), forecast_triangle(f) + PAGE * f->inputs);
}

/* What large pages hold of a factor beside its triangle. */
static double laid(const struct forecast *f)
{
    const double square = forecast_square(f);

    return square < (double)MEM_LARGE ? 0 : fmin(LAID * square, square - half_square(f));
}

/* What the threads take for rows of the widest linear: a band, with feedback a tile as it came
 * beside it, and the band once more where a solver looks back at what its columns started from, or
 * the losses at D. */
static double bands(const struct contenders *c, const struct forecast *f, int feedback)
{
    const double tile = SOLVE_TILE * sizeof(double) * f->inputs * forecast_threads(f, f->solvers);
    const double most = (double)solve_band_most((size_t)(f->linear / f->inputs));
    int twice = f->dual;

    for (size_t i = 0; i < c->count; i++) {
        const char *inner = solver_inner(c->name[i]);

        twice |= solver_find(c->name[i])->back || (inner && solver_find(inner)->back);
    }
    return tile * (feedback + most * (CODED + twice));
}

/* All contenders of a --solver: what is alive while they work. */
static double alive(const struct solve_opts *o, const struct contenders *c,
                    const struct forecast *f)
{
    const int sums = (f->dual ? 2 : 1) * (c->contest && f->holds_out ? 2 : 1); /* H and D */
    const double saved = forecast_square(f) - half_square(f);
    double squares = 0, copies = 0, own, copied, halves, spared;

    for (size_t i = 0; i < c->count; i++) {
        held_by(c->name[i], f->dual, &own, &copied);
        squares = fmax(squares, own);
        copies = fmax(copies, copied);
    }
    halves = !c->contest && solver_half(o, c->name[0]) ? squares + 1 : 0; /* H is the one more */
    spared = halves * saved - fmax(0, halves - 1) * laid(f);
    return forecast_square(f) * (squares + sums) - spared + copies * sizeof(double) * f->linear +
           forecast_source(f) + f->weights * (c->contest ? 2 : 1) + /* codes */
           bands(c, f, squares > 0) + (squares > 0 ? FACTOR : 0);
}

/* The largest share of a linear that stands beside the codes by a solver that is named, be it in a
 * contest or in an override. */
static double most_of(const struct solve_opts *o, const char *solver, double most)
{
    struct contenders c;

    for (size_t i = 0; contenders_parse(solver, &c, NULL) == 0 && i < c.count; i++) {
        const struct solver *s = solver_find(c.name[i]);

        most = s->beside ? fmax(most, s->beside(o)) : most;
    }
    return most;
}

static double beside_most(const struct solve_opts *o)
{
    double most = most_of(o, o->solver, 0);

    for (size_t i = 0; o->overrides && i < o->overrides->count; i++)
        if (o->overrides->at[i].v.solver)
            most = most_of(o, o->overrides->at[i].v.solver, most);
    return most;
}

struct format_linear solve_forecast_linear(const struct solve_opts *o, int act_bits)
{
    return (struct format_linear){.bits = o->bits,
                                  .group = o->group,
                                  .grid = o->grid,
                                  .scale_type = o->scale_type,
                                  .permuted = o->desc_act,
                                  .act_bits = act_bits,
                                  .apart = beside_most(o)};
}

/* A problem as it comes, while squares are made of it (half of the first before S goes, the
 * second beside D); or what is alive afterwards. */
int solve_forecast_memory(const struct solve_opts *o, const char *solver, const struct forecast *f,
                          uint64_t *bytes, struct err *e)
{
    const double square = forecast_square(f), triangle = forecast_triangle(f);
    const double opening =
        f->sums + forecast_source(f) + (f->dual ? 2 * square - triangle : triangle);
    struct contenders c;

    if (!f->solvers)
        return err_set(e, ERR_USE, "a plan needs at least one process of ptq-solve");
    if (contenders_parse(solver, &c, e) < 0)
        return -1;
    *bytes = (uint64_t)(OWN + forecast_threads(f, f->solvers) * THREAD +
                        fmax(alive(o, &c, f) + f->apart, opening));
    return 0;
}
