/* SPDX-License-Identifier: Apache-2.0 */
/* foresight - see foresight.h. */
#include "foresight.h"

#include "../stages/forward/forward_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/sample/sample_forecast.h"
#include "../stages/sample/sample_opts.h"
#include "../stages/solve/solve_opts.h"

int foresight_make(const struct route *t, const struct config *c, const struct sites *sites,
                   struct foresight *x)
{
    const struct stage *s = route_stage(t, &sample_spec, 0), *f = route_stage(t, &forward_spec, 0),
                       *r = route_stage(t, &reduce_spec, 0);
    const size_t solvers = route_count(t, &solve_spec);
    const struct forward_opts *o;

    if (!s || !f || !r || route_stage(t, &reduce_spec, 1))
        return 0;
    o = &((const struct forward_command *)f->own)->core;
    *x = (struct foresight){.all = {.forwards = route_count(t, &forward_spec),
                                    .reducers = route_count(t, &reduce_spec),
                                    .solvers = solvers ? solvers : 1,
                                    .cores = t->r->cores}};
    forecast_model(&x->all, sites);
    if (sample_forecast_chunks(&((const struct sample_command *)s->own)->core, c->context, &x->all,
                               NULL) < 0 ||
        forward_forecast_rows(o, &x->all, NULL) < 0)
        return 0;
    reduce_forecast_sums(r->own, &x->all);
    return forward_forecast_make(o, c, &x->all, &x->forward, NULL) == 0 &&
           reduce_forecast_make(r->own, &x->all, &x->reduce, NULL) == 0;
}
