/* SPDX-License-Identifier: Apache-2.0 */
/* law_print - see law_print.h. */
#include "law_print.h"

#include <math.h>
#include <stdlib.h>

#include "../../../common/base/json.h"
#include "../../../common/base/plural.h"

static const char *measure_name(enum law_measure m)
{
    static const char *const name[] = {"relative increase of perplexity",
                                       "increase of the negative log likelihood, nats a token",
                                       "mean KL divergence, nats a token"};

    return name[m];
}

static int set_value(struct json *j, const char *name, struct law_value v)
{
    struct json *x = json_new_object();

    return !x || json_set_real(x, "value", v.value) || json_set_real(x, "low", v.low) ||
                   json_set_real(x, "high", v.high)
               ? (json_destroy(&x), -1)
               : json_set(j, name, x);
}

/* Prints *j, takes it over; j NULL: no memory. */
static int put(FILE *f, struct json *j, int bad, struct err *e)
{
    char *text = j && !bad ? json_print(j, 0, e) : NULL;

    if (text)
        fprintf(f, "%s\n", text);
    else
        err_set(e, ERR_SYS, "out of memory for the figures");
    json_destroy(&j);
    free(text);
    return text ? 0 : -1;
}

int law_print_points(FILE *f, const struct law_points *p, struct err *e)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct law_point *x = &p->at[i];
        struct json *j = json_new_object();

        if (put(f, j,
                !j || json_set_text(j, "model", x->model) || json_set_text(j, "kind", x->kind) ||
                    json_set_real(j, "params", x->params) || json_set_real(j, "qr", x->qr) ||
                    json_set_real(j, "qb", x->qb) || json_set_real(j, "delta", x->delta),
                e) < 0)
            return -1;
    }
    return 0;
}

/* ---- fit ---- */

static int fit_json(FILE *f, const struct law *l, const struct law_points *p,
                    const struct law_command *c, struct err *e)
{
    const struct law_fit *t = law_fitted(l);
    struct json *j = json_new_object(), *k = json_new_object();
    int bad = !j || !k;

    for (size_t i = 0; i < LAW_CONSTANTS && !bad; i++)
        if (law_has(l, (enum law_constant)i))
            bad = set_value(k, law_constant_name(i), t->constant[i]);
    if (bad)
        json_destroy(&k);
    bad = bad || json_set_text(j, "measure", measure_name(c->measure)) ||
          json_set_text(j, "kind", p->at[0].kind) ||
          json_set_int(j, "points", (int64_t)t->points) ||
          json_set_int(j, "dropped", (int64_t)p->dropped) ||
          json_set_int(j, "models", (int64_t)t->models) || json_set_real(j, "r2", t->r2) ||
          json_set_real(j, "residual", t->residual) || json_set_real(j, "left_out", t->left_out) ||
          json_set_real(j, "left_out_worst", t->left_out_worst) ||
          json_set(j, "left_out_model",
                   t->left_out_model ? json_new_text(t->left_out_model) : json_new_null()) ||
          set_value(j, "interaction", t->interaction) || json_set(j, "constants", k);
    return put(f, j, bad, e);
}

static void print_left_out(FILE *f, const struct law_fit *t)
{
    if (isnan(t->left_out)) {
        fputs("leave one model out: not possible, a law of the others lacks constants\n", f);
        return;
    }
    fprintf(f, "leave one model out: a prediction is off by a factor of %.3g", exp(t->left_out));
    if (t->left_out_model)
        fprintf(f, "; most for '%s', %.3g", t->left_out_model, exp(t->left_out_worst));
    fputc('\n', f);
}

static void print_interaction(FILE *f, const struct law_value *v)
{
    if (isnan(v->value)) {
        fputs("whether N and Qr multiply: not known, one of them does not vary enough\n", f);
        return;
    }
    fprintf(f, "whether N and Qr multiply: a further term Qr ln N has %.4g [%.4g, %.4g]: %s\n",
            v->value, v->low, v->high,
            v->low <= 0.0 && v->high >= 0.0 ? "nothing here speaks against it"
                                            : "they do not here");
}

int law_print_fit(FILE *f, const struct law *l, const struct law_points *p,
                  const struct law_command *c, struct err *e)
{
    const struct law_fit *t = law_fitted(l);

    if (c->json)
        return fit_json(f, l, p, c, e);
    fprintf(f, "delta = C exp(A Qr) N^-gN (Qb + d)^gc    delta: %s\n", measure_name(c->measure));
    fprintf(f, "%zu point%s of %zu model%s", t->points, plural_s(t->points), t->models,
            plural_s(t->models));
    if (*p->at[0].kind)
        fprintf(f, " (%s)", p->at[0].kind);
    if (p->dropped)
        fprintf(f, "; %zu left out, they lost nothing", p->dropped);
    fprintf(f, "\n\n%6s %12s    95%% interval\n", "", "value");
    for (size_t i = 0; i < LAW_CONSTANTS; i++) {
        const struct law_value *v = &t->constant[i];

        if (law_has(l, (enum law_constant)i))
            fprintf(f, "%6s %12.5g    %.5g to %.5g\n", law_constant_name(i), v->value, v->low,
                    v->high);
        else
            fprintf(f, "%6s %12s    does not vary among the points, or not by itself\n",
                    law_constant_name(i), "-");
    }
    fprintf(f, "\nR^2 %.4f of ln delta; a point is off the law by a factor of %.3g\n", t->r2,
            exp(t->residual));
    print_left_out(f, t);
    print_interaction(f, &t->interaction);
    return 0;
}

/* ---- predict ---- */

struct range {
    double low, high;
};

static struct range range_of(const struct law_points *p, double (*of)(const struct law_point *x))
{
    struct range r = {INFINITY, -INFINITY};

    for (size_t i = 0; i < p->count; i++) {
        r.low = fmin(r.low, of(&p->at[i]));
        r.high = fmax(r.high, of(&p->at[i]));
    }
    return r;
}

static double params_of(const struct law_point *x)
{
    return x->params;
}
static double qr_of(const struct law_point *x)
{
    return x->qr;
}
static double qb_of(const struct law_point *x)
{
    return x->qb;
}

static int outside(struct range r, double v)
{
    return v < r.low * (1 - 1e-9) || v > r.high * (1 + 1e-9);
}

static void print_outside(FILE *f, const char *what, struct range r, double v)
{
    if (outside(r, v))
        fprintf(f, "%s %.4g lies outside of what was measured (%.4g to %.4g): that is a guess\n",
                what, v, r.low, r.high);
}

/* The model that is meant, where the points are of one. -1: it must be said. */
static int params_for(const struct law *l, const struct law_points *p, const struct law_command *c,
                      double *params, struct err *e)
{
    *params = c->parameters > 0.0 ? c->parameters : p->at[0].params;
    if (c->parameters > 0.0 && !law_has(l, LAW_GN) && c->parameters != p->at[0].params)
        return err_set(e, ERR_USE,
                       "the points do not say how the loss depends on the number of "
                       "parameters: leave --params out, or name runs of more models");
    return c->parameters > 0.0 || !law_has(l, LAW_GN)
               ? 0
               : err_set(e, ERR_USE, "which model? say --params, as 7B");
}

int law_print_prediction(FILE *f, const struct law *l, const struct law_points *p,
                         const struct law_command *c, struct err *e)
{
    struct law_value v;
    struct json *j;
    double params;

    if (params_for(l, p, c, &params, e) < 0)
        return -1;
    v = law_predict(l, params, c->qr, c->qb);
    if (c->json) {
        j = json_new_object();
        return put(f, j,
                   !j || json_set_real(j, "params", params) || json_set_real(j, "qr", c->qr) ||
                       json_set_real(j, "qb", c->qb) ||
                       json_set_text(j, "measure", measure_name(c->measure)) ||
                       set_value(j, "delta", v),
                   e);
    }
    fprintf(f, "%s: %.4g, by 95%% between %.4g and %.4g\n", measure_name(c->measure), v.value,
            v.low, v.high);
    print_outside(f, "N", range_of(p, params_of), params);
    print_outside(f, "Qr", range_of(p, qr_of), c->qr);
    print_outside(f, "Qb", range_of(p, qb_of), c->qb);
    return 0;
}

/* ---- advise ---- */

/* The largest share whose loss (or its upper bound) is within the limit; below 0: none. */
static double largest_share(const struct law *l, double params, double qb, double most, int sure)
{
    double low = 0.0, high = 1.0;

    for (int i = 0; i < 50; i++) {
        const double qr = i == 0 ? 1.0 : i == 1 ? 0.0 : (low + high) / 2;
        const struct law_value v = law_predict(l, params, qr, qb);
        const int fits = (sure ? v.high : v.value) <= most;

        if (i == 0 && fits)
            return 1.0;
        if (i == 1 && !fits)
            return -1.0;
        if (i > 1)
            *(fits ? &low : &high) = qr;
    }
    return low;
}

/* Bits of a weight on average: codes and a 16-bit scale a block, 16 bits for what is kept. */
static double mean_bits(double qr, double qb, int64_t bits)
{
    return qr * ((double)bits + 16.0 / qb) + (1.0 - qr) * 16.0;
}

static void print_share(FILE *f, double qr, double qb, int64_t bits)
{
    if (qr < 0.0)
        fprintf(f, "%10s %10s", "none", "-");
    else
        fprintf(f, "%10.3f %10.3f", qr, mean_bits(qr, qb, bits));
}

static int advice_json(FILE *f, double qb, double likely, double sure, const struct law_command *c,
                       struct err *e)
{
    struct json *j = json_new_object();

    return put(f, j,
               !j || json_set_real(j, "qb", qb) ||
                   json_set_real(j, "qr", likely < 0.0 ? NAN : likely) ||
                   json_set_real(j, "bits", likely < 0.0 ? NAN : mean_bits(likely, qb, c->bits)) ||
                   json_set_real(j, "sure_qr", sure < 0.0 ? NAN : sure) ||
                   json_set_real(j, "sure_bits", sure < 0.0 ? NAN : mean_bits(sure, qb, c->bits)),
               e);
}

int law_print_advice(FILE *f, const struct law *l, const struct law_points *p,
                     const struct law_command *c, struct err *e)
{
    static const double sizes[] = {16, 32, 64, 128, 256, 512};
    const struct range seen = range_of(p, qb_of);
    double params, best = INFINITY, best_qb = 0, best_qr = 0;

    if (params_for(l, p, c, &params, e) < 0)
        return -1;
    if (!law_has(l, LAW_A))
        return err_set(e, ERR_USE,
                       "the points do not say how the loss depends on the share that "
                       "is quantized: name runs with other shares");
    if (!c->json)
        fprintf(f, "at most %.4g (%s)\n%6s %10s %10s %10s %10s\n", c->most,
                measure_name(c->measure), "Qb", "Qr", "bits/w", "sure Qr", "bits/w");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const double qb = sizes[i], likely = largest_share(l, params, qb, c->most, 0),
                     sure = largest_share(l, params, qb, c->most, 1);

        if (outside(seen, qb))
            continue;
        if (likely >= 0.0 && mean_bits(likely, qb, c->bits) < best) {
            best = mean_bits(likely, qb, c->bits);
            best_qb = qb;
            best_qr = likely;
        }
        if (c->json) {
            if (advice_json(f, qb, likely, sure, c, e) < 0)
                return -1;
            continue;
        }
        fprintf(f, "%6.0f ", qb);
        print_share(f, likely, qb, c->bits);
        fputc(' ', f);
        print_share(f, sure, qb, c->bits);
        fputc('\n', f);
    }
    if (c->json)
        return 0;
    if (best_qb > 0.0)
        fprintf(f,
                "fewest bits: blocks of %.0f, %.1f%% of the parameters quantized: %.3f bits a "
                "weight\n",
                best_qb, 100 * best_qr, best);
    else
        fputs("no block size that was measured keeps the loss that low\n", f);
    print_outside(f, "N", range_of(p, params_of), params);
    return 0;
}
