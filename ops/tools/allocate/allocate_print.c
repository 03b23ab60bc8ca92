/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_print - a choice as override lines, or as one JSON object. */
#include <math.h>
#include <stdlib.h>

#include "../../../common/base/json.h"
#include "allocate.h"
#include "allocate_impl.h"

#define NAMED_MAX 4 /* places of the runner-up */

/* choice: the best one, or the runner-up. */
static const struct candidate *chosen(const struct allocate *a, const size_t *choice, size_t unit)
{
    const struct unit *u = &a->unit[unit];

    return &u->candidate[u->of[choice[unit]]];
}

static double bits_of(const struct allocate *a, const size_t *choice)
{
    double bits = 0.0;

    for (size_t i = 0; i < a->units; i++)
        bits += (double)chosen(a, choice, i)->cost;
    return bits / a->weights;
}

/* Share of the weights that is quantized, and how many share a scale (0: none is quantized). */
static double shares(const struct allocate *a, double *per_scale)
{
    double quantized = 0.0, scales = 0.0;

    for (size_t i = 0; i < a->units; i++) {
        const struct candidate *c = chosen(a, a->choice, i);

        quantized += c->kept ? 0.0 : a->unit[i].weights;
        scales += c->scales;
    }
    *per_scale = scales > 0.0 ? quantized / scales : 0.0;
    return quantized / a->weights;
}

/* A relative loss as a share of all weights, the others as they are. */
static double scaled(const struct allocate *a, double loss)
{
    const int share = a->by == ALLOCATE_RELATIVE || a->by == ALLOCATE_ROUND_OFF;

    return share && !a->learned ? loss / a->weights : loss;
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

/* "3 -> 4", or where groups alone differ "3 g32 -> 3 g64". */
static void print_change(const struct candidate *x, const struct candidate *y, FILE *f)
{
    if (width(x) == width(y))
        fprintf(f, "%lld g%lld -> %lld g%lld", width(x), (long long)x->group, width(y),
                (long long)y->group);
    else
        fprintf(f, "%lld -> %lld", width(x), width(y));
}

/* Where it differs from the choice, in a few places. */
static void print_runner_up(const struct allocate *a, FILE *f)
{
    size_t n = 0;

    if (!a->second)
        return;
    fprintf(f, "# runner-up: %.4f bits, %.6g (%+.3g%%):", bits_of(a, a->second),
            scaled(a, a->runner_up.loss), 100 * (a->runner_up.loss / a->result.loss - 1));
    for (size_t i = 0; i < a->units; i++) {
        const struct candidate *x = chosen(a, a->choice, i), *y = chosen(a, a->second, i);

        if (x == y || n++ >= NAMED_MAX)
            continue;
        fprintf(f, "%s b%llu.%s ", n > 1 ? "," : "", (unsigned long long)a->unit[i].block,
                a->unit[i].name);
        print_change(x, y, f);
    }
    if (n > NAMED_MAX)
        fprintf(f, ", and %zu more", n - NAMED_MAX);
    fputc('\n', f);
}

/* Why it is not what the relative loss says. */
static void print_against(const struct allocate *a, FILE *f)
{
    if (a->against == SIZE_MAX)
        return;
    fprintf(
        f,
        "# the relative loss alone chooses otherwise, which by the round-off is worse than '%s' "
        "throughout%s\n",
        a->run[a->against],
        a->by == ALLOCATE_ROUND_OFF
            ? "; both agree on this"
            : ", and what the round-off chooses is worse by the relative loss: so that run");
}

void allocate_print(const struct allocate *a, FILE *f)
{
    double qb, qr = shares(a, &qb);

    fprintf(f, "# %.4f bits a weight", bits_of(a, a->choice));
    if (a->o.target.qr > 0.0)
        fprintf(f, " (target: a share of %.4g quantized)", a->o.target.qr);
    else if (a->o.target.kl > 0.0)
        fprintf(f, " (target: KL %.4g; %.4g foreseen, to be measured)", a->o.target.kl,
                a->foreseen);
    else
        fprintf(f, " (target %.4f)", (double)a->budget / a->weights);
    fprintf(f, ", %s%s %.6g; no choice has less than %.6g\n",
            a->learned ? "divergence foreseen from " : "", allocate_score_name(a->by),
            scaled(a, a->result.loss), scaled(a, a->result.bound));
    fprintf(f,
            "# quantized: %.4g of the weights of the blocks' linears (Qr), %.4g to a scale (Qb)\n",
            qr, qb);
    for (size_t r = 0; r < a->offered; r++)
        fprintf(f, "# as in '%s' throughout: %.4f bits, %.6g\n", a->run[r],
                (double)allocate_run_cost(a, r) / a->weights, scaled(a, allocate_run_loss(a, r)));
    print_against(a, f);
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
        json_set_real(j, "loss", scaled(a, allocate_loss(&a->unit[i], c))))
        json_destroy(&j);
    return j;
}

int allocate_print_json(const struct allocate *a, FILE *f, struct err *e)
{
    struct json *j = json_new_object(), *list = json_new_array();
    char *text = NULL;
    int bad = !j || !list;
    double qb, qr = shares(a, &qb);

    for (size_t i = 0; i < a->units && !bad; i++)
        bad = json_push(list, unit_json(a, i));
    bad = bad || json_set_text(j, "model", a->model) ||
          json_set_real(j, "bpw", bits_of(a, a->choice)) ||
          (!(a->o.target.qr > 0.0) && json_set_real(j, "target", (double)a->budget / a->weights)) ||
          json_set_real(j, "qr", qr) || json_set_real(j, "qb", qb) ||
          (a->o.target.kl > 0.0 && json_set_real(j, "kl_foreseen", a->foreseen)) ||
          json_set_text(j, "by", allocate_score_name(a->by)) ||
          (a->against != SIZE_MAX && json_set_text(j, "against", a->run[a->against])) ||
          json_set_real(j, "loss", scaled(a, a->result.loss)) ||
          json_set_real(j, "bound", scaled(a, a->result.bound)) ||
          (a->second && (json_set_real(j, "runner_up_bpw", bits_of(a, a->second)) ||
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
