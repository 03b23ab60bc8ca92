/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_forecast - see reduce_forecast.h.
 *
 * What is allocated follows from shapes: triangles and squares in f64 of the total and of lanes
 * that are not merged yet, tiles, the rows of a chunk in f32, the message in hand. The rest are
 * constants and shares that were measured on runs of 1 to 4 workers, 2,048 to 65,536 tokens, 10M
 * and 135M weights, on quiet and on busy machines: kernels made at run time, threads, and freed
 * blocks that malloc keeps for later (only those up to KEPT_BLOCK: larger ones go back at
 * once). */
#include "reduce_forecast.h"

#include <math.h>
#include "../../common/tensor/blas.h"
#include "../../common/tensor/blas_cpu.h"
#include "../../common/wire/share.h"
#include "reduce.h"

#define OWN (0.5 * FORECAST_MIB)
#define THREAD (0.5 * FORECAST_MIB)
/* lanes that are done before their turn: of one chunk; of several */
#define EARLY 0.25
#define EARLY_LONG 0.75
#define KEPT_CLASSES 2.0 /* triangles of merged lanes that malloc keeps */
#define KEPT_ROWS 0.4    /* of a message that has been added up */
/* the largest block that malloc keeps: glibc's DEFAULT_MMAP_THRESHOLD_MAX */
#define KEPT_BLOCK (32 * FORECAST_MIB)

double reduce_forecast_flops(double tokens, double inputs, int dual)
{
    return tokens * inputs * inputs * (dual ? 3 : 1);
}

/* One set of sums: S, and D where there is one. */
static double set_of(const struct forecast *f)
{
    return forecast_triangle(f) + (f->dual ? forecast_square(f) : 0);
}

/* Classes whose sums are S alone. */
static uint64_t plain_classes(unsigned kinds, const struct forecast *f)
{
    return (kinds & CLASS_LENGTH ? f->lengths : 0) +
           (kinds & CLASS_POSITION ? class_bands(f->length) : 0);
}

/* Those by modality have whole sums. */
static uint64_t whole_classes(unsigned kinds, const struct forecast *f)
{
    return kinds & CLASS_MODALITY ? f->modalities : 0;
}

void reduce_forecast_sums(const struct reduce_command *c, struct forecast *f)
{
    const struct kept_how *how = &c->core.how;

    f->credit = c->credit;
    f->holds_out = how->holdout > 0;
    f->apart = (double)plain_classes(how->classes, f) * forecast_triangle(f) +
               (double)whole_classes(how->classes, f) * set_of(f);
    f->sums = set_of(f) * (1 + f->holds_out + (how->plain != 0)) + f->apart;
}

/* Of each site that is ready together: the total and the lanes that are not merged yet, one of
 * each worker, and of two or more workers some that were done before their turn (measured;
 * 2 x workers - 1 at most). A lane of several chunks may have held one of them out. Of all these
 * what --mem allows, in whole triangles, but not less than the total, which is sent as a
 * problem. */
static void sums_in_memory(const struct reduce_command *c, const struct forecast *f,
                           struct reduce_forecast *out)
{
    const struct kept_how *how = &c->core.how;
    const double chunks = (double)f->chunks / (double)f->lanes; /* of a lane */
    const double early = f->forwards == 1 ? 0 : chunks > 1 ? EARLY_LONG : EARLY;
    const double lanes = fmin((double)f->lanes, (double)f->forwards + early),
                 held = how->holdout && chunks > 1 ? fmin(1, chunks / (double)how->holdout) : 0;
    const double site = f->sums + lanes * (set_of(f) * (1 + (how->plain != 0) + held) + f->apart);
    const double share = f->reducers > 1 ? f->together / (double)f->reducers : f->together;
    const double all = site * fmax(1, share), half = forecast_square(f) / 2,
                 sums = fmax(f->sums, fmin(all, floor((double)c->core.mem / half) * half));

    out->sums = (uint64_t)sums;
    out->spilled = (uint64_t)(all - sums);
}

/* Of a chunk that is added up: its rows in f32 where they are not multiplied as they came, those of
 * the other stream or of a class beside them, and what must be picked out first. */
static double rows_at_work(const struct reduce_command *c, const struct forecast *f)
{
    const double cells = (double)f->chunk * (double)blas_row((size_t)f->inputs) * sizeof(float);
    const int two = f->dual || plain_classes(c->core.how.classes, f),
              as_they_came = f->acts == DT_BF16 && blas_cpu().bf16 && !f->weighed;

    return cells * (two ? 2 : !as_they_came) +
           (whole_classes(c->core.how.classes, f) > 1 ? forecast_message(f) : 0);
}

/* Rows wait in the memory of the worker that sends them, which foresees them; what is added up is
 * mapped here, and stays so as far as blocks are kept: of those under way, one that is being filled
 * and one of other sites, what may be idle and one of each worker. By tcp it is malloc that keeps
 * some. */
static double rows_in_hand(const struct forecast *f)
{
    const double message = forecast_message(f), each = message * (double)f->forwards,
                 blocks = fmin((REDUCE_WINDOW + 2) * each, (double)f->chunks * message + each),
                 mapped =
                     message > (double)SHARE_MAPPED ? 0 : fmin((double)SHARE_MAPPED + each, blocks),
                 kept = forecast_rows(f) <= KEPT_BLOCK ? KEPT_ROWS * message : 0;

    return message + fmax(mapped, kept);
}

int reduce_forecast_make(const struct reduce_command *c, const struct forecast *f,
                         struct reduce_forecast *out, struct err *e)
{
    const struct kept_how *how = &c->core.how;
    const double freed = how->classes && forecast_triangle(f) <= KEPT_BLOCK
                             ? KEPT_CLASSES * forecast_triangle(f)
                             : 0;
    const double whole = f->dual || plain_classes(how->classes, f) ? f->inputs : 0;
    const double tile = sizeof(float) * f->inputs *
                        (whole + fmin(f->inputs, forecast_threads(f, 1) * (double)BLAS_GRAM_ROWS));

    if (!f->forwards)
        return err_set(e, ERR_USE, "a plan needs at least one process of ptq-forward");
    if (!f->chunks || !f->lanes || !(f->inputs > 0))
        return err_set(e, ERR_USE, "a plan needs the number of chunks and the sites of the model");
    sums_in_memory(c, f, out);
    out->both = f->acts == DT_BF16 && blas_cpu().bf16 &&
                (how->plain || f->dual || plain_classes(how->classes, f));
    out->bytes = (uint64_t)(OWN + forecast_threads(f, 1) * THREAD + (double)out->sums + freed +
                            tile + rows_at_work(c, f) + forecast_source(f) + rows_in_hand(f));
    return 0;
}
