/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-cat - copies a stream from one endpoint to another, or measures a link. The core is
 * relay.c. */
#include "cat_opts.h"
#include "../../../common/wire/link.h"
#include "relay.h"

static int run(struct stage *s, struct err *e)
{
    const struct cat_command *c = s->own;

    return relay_run(&(struct relay){.in = s->in,
                                     .out = s->out,
                                     .run = c->run,
                                     .make = c->make,
                                     .size = c->size,
                                     .peers_in = (size_t)c->peers_in,
                                     .peers_out = (size_t)c->peers_out,
                                     .credit = (size_t)c->credit,
                                     .timeout = c->timeout,
                                     .lease = &c->lease,
                                     .zstd = s->zstd,
                                     .all = c->route == LINK_ALL,
                                     .keys = s->keys,
                                     .insecure = s->insecure},
                     e);
}

int main(int argc, char **argv)
{
    return stage_main(&cat_spec, run, argc, argv);
}
