/* SPDX-License-Identifier: Apache-2.0 */
/* diff_report - see diff_report.h. */
#include "diff_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/json.h"
#include "../../../common/base/plural.h"
#include "../stream/tensor_values.h"

/* Prints j, unless memory for it was out. */
static void print(const struct diff_report *r, struct json *j)
{
    char *text = j ? json_print(j, 0, NULL) : NULL;

    if (text)
        fprintf(r->out, "%s\n", text);
    free(text);
    json_destroy(&j);
}

/* d: NULL where there are no numbers. */
static void say(struct diff_report *r, const char *where, const char *what, const char *how,
                const struct value_diff *d, int floats)
{
    struct json *j;

    r->different++;
    if (!r->o->json) {
        fprintf(r->out, "%s%s%s: %s\n", where, *where && *what ? ": " : "", what, how);
        return;
    }
    j = json_new_object();
    if (j && (json_set_text(j, "message", where) || json_set_text(j, "what", what) ||
              json_set_text(j, "how", how) || (d && json_set_real(j, "max_abs", d->max_abs)) ||
              (floats && (json_set_real(j, "relative_error", values_error(d)) ||
                          json_set_real(j, "cosine", values_cosine(d))))))
        json_destroy(&j);
    print(r, j);
}

void diff_report_say(struct diff_report *r, const char *where, const char *what, const char *how)
{
    say(r, where, what, how, NULL, 0);
}

static void add(struct diff_report *r, const char *what, const struct value_diff *d)
{
    const double error = values_error(d);

    if (!r->floats++ || error > r->worst) {
        r->worst = error;
        snprintf(r->worst_name, sizeof r->worst_name, "%s", what);
    }
    r->gap2 += d->gap2;
    r->first2 += d->a2;
}

void diff_report_tensors(struct diff_report *r, const char *where, const char *what,
                         const struct diff_side *a, const struct diff_side *b)
{
    const int floats = dtype_is_float(a->t->dtype) && dtype_is_float(b->t->dtype);
    const int alike = strcmp(a->kind, b->kind) == 0, coded = a->coded || b->coded;
    char how[480], kinds[200] = "", sa[96], sb[96];
    struct value_diff d;
    int n;

    tensor_shape_text(a->t->ndim, a->t->shape, sa, sizeof sa);
    tensor_shape_text(b->t->ndim, b->t->shape, sb, sizeof sb);
    if (strcmp(sa, sb) != 0 || (a->t->dtype != b->t->dtype && !floats)) {
        snprintf(how, sizeof how, "%s %s against %s %s", a->kind, sa, b->kind, sb);
        say(r, where, what, how, NULL, 0);
        return;
    }
    values_compare(a->t, b->t, &d);
    if (!d.different && (alike || coded)) {
        r->equal++;
        return;
    }
    if (!alike || coded)
        snprintf(kinds, sizeof kinds, "%s against %s: ", a->kind, b->kind);
    if (!d.different) {
        snprintf(how, sizeof how, "%sthe same numbers", kinds);
        say(r, where, what, how, &d, floats);
        return;
    }
    n = snprintf(how, sizeof how, "%s%zu of %zu element%s differ%s, by at most %.6g", kinds,
                 d.different, d.n, plural_s(d.n), d.different == 1 ? "s" : "", d.max_abs);
    if (floats && n > 0 && (size_t)n < sizeof how)
        snprintf(how + n, sizeof how - (size_t)n, "; relative error %.4g, cosine %.6f",
                 values_error(&d), values_cosine(&d));
    if (floats)
        add(r, what, &d);
    say(r, where, what, how, &d, floats);
}

void diff_report_totals(const struct diff_report *r)
{
    const double error = r->first2 > 0 ? sqrt(r->gap2 / r->first2) : INFINITY;
    struct json *j;

    if (!r->o->json) {
        fprintf(r->out, "%" PRIu64 " tensor%s equal, %" PRIu64 " difference%s", r->equal,
                plural_s(r->equal), r->different, plural_s(r->different));
        if (r->floats)
            fprintf(r->out, "; relative error of what differs %.4g, at most %.4g (%s)", error,
                    r->worst, r->worst_name);
        fputc('\n', r->out);
        return;
    }
    j = json_new_object();
    if (j && (json_set_int(j, "equal", (int64_t)r->equal) ||
              json_set_int(j, "different", (int64_t)r->different) ||
              (r->floats && (json_set_real(j, "relative_error", error) ||
                             json_set_real(j, "worst_relative_error", r->worst) ||
                             json_set_text(j, "worst", r->worst_name)))))
        json_destroy(&j);
    print(r, j);
}
