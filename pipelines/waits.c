/* SPDX-License-Identifier: Apache-2.0 */
/* waits - see waits.h. */
#include "waits.h"

#include <math.h>
#include <string.h>

static void halve(struct waits *w)
{
    for (size_t i = 0; i < w->count; i++)
        for (size_t k = 0; k < WAITS_PIECES; k++)
            w->each[i][k] =
                2 * k + 1 < WAITS_PIECES ? w->each[i][2 * k] + w->each[i][2 * k + 1] : 0;
    w->width *= 2;
}

/* The index of this name; STATUS_WAITS: there is no room for it. */
static size_t name_find(struct waits *w, const char *name)
{
    size_t i = 0;

    while (i < w->count && strcmp(w->name[i], name) != 0)
        i++;
    if (i == w->count && i < STATUS_WAITS)
        snprintf(w->name[w->count++], STATUS_WHOM, "%s", name);
    return i;
}

/* Seconds more, evenly between two times since the process began. */
static void spread(struct waits *w, size_t i, double from, double to, double seconds)
{
    const size_t first = (size_t)(from / w->width);

    for (size_t k = first; k < WAITS_PIECES && (double)k * w->width < to; k++) {
        const double at = fmax(from, (double)k * w->width),
                     end = fmin(to, (double)(k + 1) * w->width);

        w->each[i][k] += (float)(seconds * (end - at) / (to - from));
    }
}

void waits_take(struct waits *w, double from, const struct json *waited, double now)
{
    const double since = (w->told > 0 ? w->told : from) - from, to = now - from;
    const char *name;

    if (!(to > since))
        return;
    w->from = from;
    w->told = now;
    w->width = w->width > 0 ? w->width : WAITS_FIRST;
    while (to > w->width * WAITS_PIECES)
        halve(w);
    for (size_t k = 0; k < json_count(waited); k++) {
        const struct json *v = json_member(waited, k, &name);
        double seconds = NAN;
        size_t i;

        if (json_as_real(v, &seconds) != 0 || (i = name_find(w, name)) == STATUS_WAITS ||
            !(seconds > w->sum[i]))
            continue;
        spread(w, i, since, to, fmin(seconds - w->sum[i], to - since));
        w->sum[i] = seconds;
    }
}
