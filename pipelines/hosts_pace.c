/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_pace - see hosts_pace.h. */
#include "hosts_pace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../common/tensor/blas_pace.h"
#include "hosts_state.h"
#include "hosts_work.h"

#define LEAST 0.01 /* beside one of this host's: what is said may be a lie */
#define MOST 100.0
#define NOISE 1.25 /* who is faster or slower by less is as fast */

/* Of one of this host's own processes that get lanes. */
static int own_pace(struct hosts *h, const struct launch_process *taker, double *pace,
                    struct err *e)
{
    const char *threads = launch_value(taker, "--threads");

    if (h->pace <= 0 && blas_pace(&h->pace, e) < 0)
        return -1;
    *pace = h->pace * (threads ? fmax(strtod(threads, NULL), 1) : 1);
    return 0;
}

static double beside(double pace, double own)
{
    const double x = pace / own;

    return x < NOISE && x > 1 / NOISE ? 1 : fmin(fmax(x, LEAST), MOST);
}

int hosts_pace_give(const struct supervise *s, struct launch_process *p, struct err *e)
{
    const struct hosts *h = s->hosts;
    const struct launch_process *f;
    const char *dealt = hosts_dealt_at(s, &f);
    const struct stage *st = s->change.route->stage[p->stage];
    char *text = NULL;
    size_t size = 0;
    double own;
    FILE *out;
    int rc;

    launch_withhold(p, "--paces", 1);
    if (!h->parts.count || !launch_binds(p, dealt) || !st ||
        !opt_find(st->group, st->ngroups, "paces", 5, NULL))
        return 0;
    if (own_pace(s->hosts, f, &own, e) < 0)
        return -1;
    if (!(out = open_memstream(&text, &size)))
        return err_set(e, ERR_SYS, "out of memory");
    for (size_t i = 0; i < h->parts.count; i++)
        fprintf(out, "%sw%zu=%.4g", i ? "," : "", h->parts.at[i].number,
                beside(h->host[h->parts.at[i].host].pace, own));
    rc = fclose(out) != 0 ? err_set(e, ERR_SYS, "out of memory")
                          : launch_give(p, "--paces", text, e);
    free(text);
    return rc;
}
