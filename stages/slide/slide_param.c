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

enum { PIECE = 1024 };

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

struct step {
    struct slide_param *p;
    double rate, m1, v1;
};

static int step_piece(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct step *s = ctx;
    struct slide_param *p = s->p;

    (void)worker;
    (void)e;
    for (size_t k = i * PIECE; k < p->n && k < (i + 1) * PIECE; k++) {
        const double g = (double)p->g[k];
        const double m = FIRST * (double)p->m[k] + (1 - FIRST) * g;
        const double v = SECOND * (double)p->v[k] + (1 - SECOND) * g * g;

        p->m[k] = (float)m;
        p->v[k] = (float)v;
        p->x[k] = (float)((double)p->x[k] - s->rate * (m / s->m1) / (sqrt(v / s->v1) + EPS));
    }
    return 0;
}

int slide_param_step(struct slide_param *p, struct par *par, double rate, size_t step,
                     struct err *e)
{
    const double t = (double)step;
    struct step s = {.p = p, .rate = rate, .m1 = 1 - pow(FIRST, t), .v1 = 1 - pow(SECOND, t)};

    return par_for(par, (p->n + PIECE - 1) / PIECE, step_piece, &s, e);
}
