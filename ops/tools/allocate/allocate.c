/* SPDX-License-Identifier: Apache-2.0 */
/* allocate - see allocate.h. */
#include "allocate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "allocate_impl.h"

#define NAMED_MAX 4 /* places of the runner-up */

/* ---- candidates ---- */

static int is_end(const struct allocate *a, const struct unit *u)
{
    uint64_t last = 0;

    for (size_t i = 0; i < a->units; i++)
        last = a->unit[i].block > last ? a->unit[i].block : last;
    return u->block == 0 || u->block == last;
}

/* Bits of the whole model as a run has it. */
static uint64_t run_cost(const struct allocate *a, size_t r)
{
    uint64_t cost = 0;

    for (size_t i = 0; i < a->units; i++)
        cost += a->unit[i].candidate[r].cost;
    return cost;
}

/* The dearest run that is within the target as it is; SIZE_MAX: none. */
static size_t best_run(const struct allocate *a)
{
    size_t best = SIZE_MAX;

    for (size_t r = 0; r < a->runs; r++)
        if (run_cost(a, r) <= a->budget && (best == SIZE_MAX || run_cost(a, r) > run_cost(a, best)))
            best = r;
    return best;
}

/* The items of a unit: its candidates; where it is protected none that is cheaper than in the
 * run `least`, so that what that run is stays a choice. */
static int unit_items(const struct allocate *a, struct unit *u, size_t least, struct err *e)
{
    const size_t n = a->runs + (a->o.keep ? 1 : 0);
    const uint64_t from =
        a->o.protect && least != SIZE_MAX && is_end(a, u) ? u->candidate[least].cost : 0;

    u->candidate[a->runs] =
        (struct candidate){.kept = 1, .cost = (uint64_t)(u->weights * KEPT_BITS)};
    if (!(u->of = mem_array(n, sizeof *u->of, e)) || !(u->item = mem_array(n, sizeof *u->item, e)))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (u->candidate[i].cost >= from) {
            u->of[u->items] = i;
            u->item[u->items++] =
                (struct knapsack_item){u->candidate[i].cost, u->candidate[i].loss};
        }
    return 0;
}

static int names_copy(struct allocate *a, const char *const *runs, size_t count, struct err *e)
{
    if (!(a->run = mem_array(count, sizeof *a->run, e)))
        return -1;
    for (size_t i = 0; i < count; i++, a->runs++)
        if (!(a->run[i] = mem_text(runs[i], e)))
            return -1;
    return 0;
}

static int open_runs(struct allocate *a, const char *const *runs, size_t count, struct err *e)
{
    double budget;
    size_t least;

    if (names_copy(a, runs, count, e) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (allocate_read(a, i, e) < 0)
            return -1;
    if (a->o.site_weights && allocate_weigh(a, a->o.site_weights, e) < 0)
        return -1;
    for (size_t i = 0; i < a->units; i++)
        a->weights += a->unit[i].weights;
    budget = a->o.size ? 8.0 * (double)a->o.size : a->o.bpw * a->weights;
    a->budget = budget < 9e18 ? (uint64_t)(budget * (1 + 1e-12)) : UINT64_MAX / 2;
    least = best_run(a);
    for (size_t i = 0; i < a->units; i++)
        if (unit_items(a, &a->unit[i], least, e) < 0)
            return -1;
    return a->units ? 0 : err_set(e, ERR_USE, "'%s' has no sites", runs[0]);
}

struct allocate *allocate_open(const char *const *runs, size_t count, const struct allocate_opts *o,
                               struct err *e)
{
    struct allocate *a = mem_array(1, sizeof *a, e);

    if (!a)
        return NULL;
    a->o = *o;
    if (open_runs(a, runs, count, e) < 0)
        allocate_close(&a);
    return a;
}

void allocate_close(struct allocate **a)
{
    struct allocate *x = *a;

    if (!x)
        return;
    for (size_t i = 0; i < x->units; i++) {
        free(x->unit[i].name);
        free(x->unit[i].candidate);
        free(x->unit[i].of);
        free(x->unit[i].item);
    }
    for (size_t i = 0; i < x->runs; i++)
        free(x->run[i]);
    free(x->run);
    free(x->unit);
    free(x->model);
    free(x->choice);
    free(x->second);
    free(x);
    *a = NULL;
}

/* ---- the choice ---- */

int allocate_run(struct allocate *a, struct err *e)
{
    struct knapsack_class *class = mem_array(a->units, sizeof *class, e);
    int rc = -1;

    a->choice = mem_array(a->units, sizeof *a->choice, e);
    if (class && a->choice) {
        for (size_t i = 0; i < a->units; i++)
            class[i] = (struct knapsack_class){a->unit[i].items, a->unit[i].item};
        rc = knapsack_solve(class, a->units, a->budget, a->choice, &a->result, e);
        if (rc == 0 && a->o.search == ALLOCATE_RANDOM)
            rc = allocate_random(a, e);
        else if (rc == 0)
            rc = allocate_second(a, class, e);
        else if (e->kind == ERR_USE)
            err_set(e, ERR_USE,
                    "the target is %.4g bits a weight, and the least that these runs allow is "
                    "%.4g: add a run with fewer bits",
                    (double)a->budget / a->weights, (double)a->result.cost / a->weights);
    }
    free(class);
    return rc;
}

/* choice: the best one, or the runner-up. */
static const struct candidate *chosen(const struct allocate *a, const size_t *choice, size_t unit)
{
    const struct unit *u = &a->unit[unit];

    return &u->candidate[u->of[choice[unit]]];
}

static double run_loss(const struct allocate *a, size_t r)
{
    double loss = 0.0;

    for (size_t i = 0; i < a->units; i++)
        loss += a->unit[i].candidate[r].loss;
    return loss;
}

/* ---- what comes out ---- */

/* A relative loss as a share of all weights, the others as they are. */
static double scaled(const struct allocate *a, double loss)
{
    return a->o.score == ALLOCATE_RELATIVE || a->o.score == ALLOCATE_ROUND_OFF ? loss / a->weights
                                                                               : loss;
}

const char *allocate_score_name(enum allocate_score score)
{
    switch (score) {
    case ALLOCATE_RELATIVE:
        return "relative loss";
    case ALLOCATE_ROUND_OFF:
        return "round-off";
    case ALLOCATE_TRACE:
        return "trace";
    default:
        return "loss";
    }
}

static void print_line(const struct allocate *a, size_t i, FILE *f)
{
    const struct candidate *c = chosen(a, a->choice, i);

    fprintf(f, "b%llu.%s: ", (unsigned long long)a->unit[i].block, a->unit[i].name);
    if (c->kept) {
        fputs("skip\n", f);
        return;
    }
    fprintf(f, "bits=%lld group=%lld", (long long)c->bits, (long long)c->group);
    if (a->several_grids)
        fprintf(f, " grid=%s", c->grid);
    fputc('\n', f);
}

static long long width(const struct candidate *c)
{
    return c->kept ? KEPT_BITS : c->bits;
}

/* Where it differs from the choice, in a few places. */
static void print_runner_up(const struct allocate *a, FILE *f)
{
    size_t n = 0;

    if (!a->second)
        return;
    fprintf(f, "# runner-up: %.4f bits, %.6g (%+.3g%%):", (double)a->runner_up.cost / a->weights,
            scaled(a, a->runner_up.loss), 100 * (a->runner_up.loss / a->result.loss - 1));
    for (size_t i = 0; i < a->units; i++) {
        const struct candidate *x = chosen(a, a->choice, i), *y = chosen(a, a->second, i);

        if (x != y && n++ < NAMED_MAX)
            fprintf(f, "%s b%llu.%s %lld -> %lld", n > 1 ? "," : "",
                    (unsigned long long)a->unit[i].block, a->unit[i].name, width(x), width(y));
    }
    if (n > NAMED_MAX)
        fprintf(f, ", and %zu more", n - NAMED_MAX);
    fputc('\n', f);
}

void allocate_print(const struct allocate *a, FILE *f)
{
    fprintf(f, "# %.4f bits a weight (target %.4f), %s %.6g; no choice has less than %.6g\n",
            (double)a->result.cost / a->weights, (double)a->budget / a->weights,
            allocate_score_name(a->o.score), scaled(a, a->result.loss), scaled(a, a->result.bound));
    for (size_t r = 0; r < a->runs; r++)
        fprintf(f, "# as in '%s' throughout: %.4f bits, %.6g\n", a->run[r],
                (double)run_cost(a, r) / a->weights, scaled(a, run_loss(a, r)));
    print_runner_up(a, f);
    for (size_t i = 0; i < a->units; i++)
        print_line(a, i, f);
}

static struct json *unit_json(const struct allocate *a, size_t i)
{
    const struct candidate *c = chosen(a, a->choice, i);
    struct json *j = json_new_object();

    if (!j || json_set_int(j, "block", (int64_t)a->unit[i].block) ||
        json_set_text(j, "site", a->unit[i].name) ||
        json_set_int(j, "bits", c->kept ? KEPT_BITS : c->bits) ||
        json_set(j, "group", c->kept ? json_new_null() : json_new_int(c->group)) ||
        json_set(j, "grid", c->kept ? json_new_null() : json_new_text(c->grid)) ||
        json_set_real(j, "bpw", (double)c->cost / a->unit[i].weights) ||
        json_set_real(j, "loss", scaled(a, c->loss)))
        json_destroy(&j);
    return j;
}

int allocate_print_json(const struct allocate *a, FILE *f, struct err *e)
{
    struct json *j = json_new_object(), *list = json_new_array();
    char *text = NULL;
    int bad = !j || !list;

    for (size_t i = 0; i < a->units && !bad; i++)
        bad = json_push(list, unit_json(a, i));
    bad =
        bad || json_set_text(j, "model", a->model) ||
        json_set_real(j, "bpw", (double)a->result.cost / a->weights) ||
        json_set_real(j, "target", (double)a->budget / a->weights) ||
        json_set_real(j, "loss", scaled(a, a->result.loss)) ||
        json_set_real(j, "bound", scaled(a, a->result.bound)) ||
        (a->second && (json_set_real(j, "runner_up_bpw", (double)a->runner_up.cost / a->weights) ||
                       json_set_real(j, "runner_up_loss", scaled(a, a->runner_up.loss))));
    if (bad)
        json_destroy(&list);
    else
        bad = json_set(j, "sites", list);
    if (!bad && (text = json_print(j, 0, e)))
        fprintf(f, "%s\n", text);
    else
        err_set(e, ERR_SYS, "out of memory for the choice");
    json_destroy(&j);
    bad = !text;
    free(text);
    return bad ? -1 : 0;
}
