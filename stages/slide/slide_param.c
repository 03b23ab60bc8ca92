/* SPDX-License-Identifier: Apache-2.0 */
/* slide_param - see slide_param.h. */
#include "slide_param.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"

#define FIRST 0.9
#define SECOND 0.999
#define EPS 1e-8

int slide_param_init(struct slide_param *p, size_t n, struct err *e)
{
    *p = (struct slide_param){.n = n};
    if (n && (!(p->x = mem_array(n, sizeof *p->x, e)) || !(p->g = mem_array(n, sizeof *p->g, e)) ||
              !(p->m = mem_array(n, sizeof *p->m, e)) || !(p->v = mem_array(n, sizeof *p->v, e))))
        return -1;
    return 0;
}

void slide_param_release(struct slide_param *p)
{
    free(p->x);
    free(p->g);
    free(p->m);
    free(p->v);
    *p = (struct slide_param){0};
}

void slide_param_restart(struct slide_param *p)
{
    if (!p->n)
        return;
    memset(p->m, 0, p->n * sizeof *p->m);
    memset(p->v, 0, p->n * sizeof *p->v);
}

void slide_param_step(struct slide_param *p, double rate, size_t step)
{
    const double t = (double)step, m1 = 1 - pow(FIRST, t), v1 = 1 - pow(SECOND, t);

    for (size_t i = 0; i < p->n; i++) {
        const double g = (double)p->g[i];
        const double m = FIRST * (double)p->m[i] + (1 - FIRST) * g;
        const double v = SECOND * (double)p->v[i] + (1 - SECOND) * g * g;

        p->m[i] = (float)m;
        p->v[i] = (float)v;
        p->x[i] = (float)((double)p->x[i] - rate * (m / m1) / (sqrt(v / v1) + EPS));
    }
}
