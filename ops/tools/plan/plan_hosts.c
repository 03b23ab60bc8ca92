/* SPDX-License-Identifier: Apache-2.0 */
/* plan_hosts - see plan_hosts.h. */
#include "plan_hosts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/tensor/blas.h"
#include "../../../stages/solve/solve_forecast.h"

/* Shares of what a core multiplies at best in f32, measured by CPU seconds (tests/bench/scale.md);
 * solvers compute in f64 and step by step. */
#define FORWARD_RATE 0.65
#define FORWARD16_RATE 1.4 /* --products bf16, on a CPU that has them (tests/bench/products.md) */
#define FORWARD16X2_RATE 0.9
#define SUMS_RATE 0.45
#define SOLVE_RATE 0.09
#define NET_LEAST 1e3 /* bits a second: beyond these it is a slip of the pen */
#define NET_MOST 1e14

int hosts_net(const char *text, double *net, struct err *e)
{
    char *end;
    const double n = strtod(text, &end);
    const double unit = *end == 'G' ? 1e9 : *end == 'M' ? 1e6 : 0;

    if (unit <= 0 || end[1] || !(n * unit >= NET_LEAST && n * unit <= NET_MOST))
        return err_set(e, ERR_USE,
                       "--net '%.40s': say bits a second, as 10G or 100M (0.001M to 100000G)",
                       text);
    *net = n * unit;
    return 0;
}

/* Bytes of the sums of a lane over all sites, as partials carry them. */
static double lane_bytes(const struct preview *p)
{
    double bytes = 0;

    for (size_t i = 0; i < p->table.count; i++) {
        const double K = (double)p->table.site[i].inputs;

        bytes += sizeof(double) * (K * (K + 1) / 2 + (p->run.dual ? K * K : 0));
    }
    return bytes;
}

/* Flops on the way that no further host makes shorter: sites one after the other, of the experts
 * that are ready together the largest or an even share. */
static double solve_path(const struct preview *p, size_t hosts)
{
    double path = 0;

    for (size_t i = 0; i < p->table.count;) {
        const struct site *first = &p->table.site[i];
        double all = 0, most = 0;

        do {
            const struct site *s = &p->table.site[i++];
            double rows = 0, one;

            for (size_t k = 0; k < s->count; k++)
                rows += (double)s->linear[k].rows;
            one = solve_forecast_flops(rows, (double)s->inputs);
            all += one;
            most = fmax(most, one);
        } while (i < p->table.count && first->expert >= 0 && p->table.site[i].expert >= 0 &&
                 p->table.site[i].block == first->block &&
                 p->table.site[i].inputs == first->inputs);
        path += fmax(most, all / (double)hosts);
    }
    return path;
}

static uint64_t commit_bytes(const struct preview *p)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < p->nclasses; i++)
        bytes += p->class[i].kept ? 0 : p->class[i].weights; /* a code is a byte */
    return bytes;
}

static double forward_rate(const struct preview_opts *o)
{
    const enum products p = o->forward ? o->forward->products : PRODUCTS_F32;

    if (p == PRODUCTS_F32 || !blas_has_bf16())
        return FORWARD_RATE;
    return p == PRODUCTS_BF16 ? FORWARD16_RATE : FORWARD16X2_RATE;
}

/* Of all cores. */
static double speed(double of_run, double of_rate, const struct preview_opts *o)
{
    return (of_run > 0 ? of_run : of_rate) * (double)o->cores;
}

static double together(const struct hosts_row *row)
{
    return row->forward + row->sums + row->link + row->solve + row->beside;
}

static void print_head(const struct preview *p, const struct preview_opts *o,
                       const struct hosts_rates *r)
{
    if (r->like)
        printf("\nhosts of %zu cores as fast as in %s, links of %.3g Gbit/s, %llu lanes\n(a core: "
               "forward pass %.1f GF/s, sums %.1f, solvers %.1f; beside them %.3g s)\n",
               o->cores, r->like, r->net / 1e9, (unsigned long long)p->run.lanes,
               r->of.forward / 1e9, r->of.sums / 1e9, r->of.solve / 1e9, r->of.beside);
    else
        printf("\nhosts of %zu cores of %.0f GF/s (f32), links of %.3g Gbit/s, %llu lanes\n",
               o->cores, r->core / 1e9, r->net / 1e9, (unsigned long long)p->run.lanes);
    if (r->measured)
        printf("(the rate of a core was measured just now, on this machine; --gflops sets it)\n");
}

void hosts_row(const struct preview *p, const struct preview_opts *o, const struct hosts_rates *r,
               size_t hosts, struct hosts_row *row)
{
    const size_t lanes = p->run.lanes ? (size_t)p->run.lanes : 1,
                 at_work = hosts < lanes ? hosts : lanes, most = (lanes + at_work - 1) / at_work;
    const double share = (double)most / (double)lanes, lane = lane_bytes(p);
    const struct hosts_speeds *of = &r->of;

    *row = (struct hosts_row){.hosts = hosts, .at_work = at_work, .beside = of->beside};
    row->forward = p->flops_forward * share / speed(of->forward, forward_rate(o) * r->core, o);
    row->sums = p->flops_reduce * share / speed(of->sums, SUMS_RATE * r->core, o);
    row->solve = solve_path(p, hosts) / speed(of->solve, SOLVE_RATE * r->core, o);
    if (hosts == 1)
        return;
    row->head_in = (uint64_t)(lane * (double)(lanes - most));
    row->worker_out = (uint64_t)(lane * (double)most);
    /* each forward process of a worker gets the commits */
    row->head_out = commit_bytes(p) * (at_work - 1) * (o->forwards < most ? o->forwards : most);
    row->link = 8 * fmax((double)row->head_in, (double)row->head_out) / r->net;
}

void hosts_print(const struct preview *p, const struct preview_opts *o, const struct hosts_rates *r,
                 size_t hosts)
{
    print_head(p, o, r);
    printf("%5s %10s %10s %10s %10s %10s %9s %12s %12s %12s\n", "hosts", "forward s", "sums s",
           "links s", "solving s", "together s", "times", "head in MB", "head out MB", "worker MB");
    for (size_t n = 1, last = 0; !last; n *= 2) {
        struct hosts_row row, one;
        double all, alone;

        last = n >= hosts;
        hosts_row(p, o, r, 1, &one);
        hosts_row(p, o, r, last ? hosts : n, &row);
        all = together(&row);
        alone = together(&one);
        printf("%5zu %10.4g %10.4g %10.4g %10.4g %10.4g %9.2f %12.4g %12.4g %12.4g\n", row.hosts,
               row.forward, row.sums, row.link, row.solve, all, all > 0 ? alone / all : 1,
               (double)row.head_in / 1e6, (double)row.head_out / 1e6, (double)row.worker_out / 1e6);
    }
    if (hosts > p->run.lanes)
        printf("more hosts than lanes: those beyond %llu only solve (--lanes)\n",
               (unsigned long long)p->run.lanes);
}
