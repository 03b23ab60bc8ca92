/* SPDX-License-Identifier: Apache-2.0 */
/* plan_hosts - what a run would take on 1, 2, 4 ... hosts: time, bytes of the links.
 *
 * An estimate. Hosts are alike and share the lanes; forward pass, sums and solvers run at fixed
 * shares of what its cores multiply at best, or as fast as in a run that has been (plan_like.h).
 * Sites follow each other, so that of a site forward pass, sums, link and solver add up; experts
 * of a block that are ready together are solved side by side. Left out: attention's share of the
 * time beyond its flops, what small products cost beside theirs, and, unless a run that has been
 * says it, start, reading the model, writing the checkpoint. */
#ifndef PTQ_PLAN_HOSTS_H
#define PTQ_PLAN_HOSTS_H

#include "plan_like.h"

struct hosts_rates {
    double core;      /* flops a second of a core, f32 products */
    double net;       /* bits a second of each host's link */
    int measured;     /* core was, here and just now */
    const char *like; /* the run that has been; NULL: none */
    struct hosts_speeds of;
};

struct hosts_row {
    size_t hosts, at_work;                     /* of them with lanes */
    double forward, sums, link, solve, beside; /* seconds */
    uint64_t head_in, head_out; /* bytes of lane sums into the head; of commits out of it */
    uint64_t worker_out;        /* bytes of lane sums out of the worker with most lanes */
};

/* text: bits a second, "10G", "100M". */
int hosts_net(const char *text, double *net, struct err *e);
void hosts_row(const struct preview *p, const struct preview_opts *o, const struct hosts_rates *r,
               size_t hosts, struct hosts_row *row);
/* A table up to so many hosts, on stdout. */
void hosts_print(const struct preview *p, const struct preview_opts *o, const struct hosts_rates *r,
                 size_t hosts);

#endif
