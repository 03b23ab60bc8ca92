/* SPDX-License-Identifier: Apache-2.0 */
/* weigh - see weigh.h. */
#include "weigh.h"

#include <math.h>
#include <stdlib.h>

int weigh_clip_parse(const char *text, struct weigh_clip *c, struct err *e)
{
    char *end, *last;

    c->low = strtod(text, &end);
    if (end != text && *end == ',') {
        c->high = strtod(end + 1, &last);
        if (last != end + 1 && !*last && c->low >= 0 && c->high > 0 && c->high < 1e30 &&
            c->low <= c->high)
            return 0;
    }
    return err_set(e, ERR_USE,
                   "'%s': two numbers with a comma between them, the first from 0 up, the second "
                   "above 0 and not below the first",
                   text);
}

int weigh_clip_record(const struct weigh_clip *c, struct json *record)
{
    struct json *bounds;

    if (!(c->high > 0))
        return 0;
    bounds = json_new_array();
    if (json_push(bounds, json_new_real(c->low)) || json_push(bounds, json_new_real(c->high)))
        json_destroy(&bounds);
    return json_set(record, "weight_clip", bounds);
}

static double mean_of(const float *w, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)w[i];
    return sum / (double)n;
}

static void divide(float *w, size_t n, double by)
{
    for (size_t i = 0; i < n; i++)
        w[i] = (float)((double)w[i] / by);
}

int weigh_normal(float *w, size_t n, const struct weigh_clip *c)
{
    double mean = mean_of(w, n);

    if (mean > 0 && isfinite(mean)) {
        divide(w, n, mean);
        for (size_t i = 0; c->high > 0 && i < n; i++)
            w[i] = (float)fmin(fmax((double)w[i], c->low), c->high);
        mean = mean_of(w, n);
    }
    if (mean > 0 && isfinite(mean)) {
        if (c->high > 0)
            divide(w, n, mean);
        return 1;
    }
    for (size_t i = 0; i < n; i++)
        w[i] = 1;
    return 0;
}
