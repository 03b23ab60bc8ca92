/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-forward - runs a model block by block over the chunks it is given and emits the inputs of
 * every site. The core is forward.c. */
#include "forward_io.h"
#include "forward_opts.h"

static int run(struct stage *s, struct err *e)
{
    const struct forward_command *c = s->own;
    const struct forward_ends ends = {.in = s->in,
                                      .out = s->out,
                                      .commits = c->commits,
                                      .follow = c->follow,
                                      .zstd = s->zstd,
                                      .insecure = s->insecure};
    struct par *par = par_open((size_t)s->threads, e);
    struct model *model = par ? model_open(c->model, par, e) : NULL;
    struct forward *f = model ? forward_open(model, &c->core, e) : NULL;
    struct forward_io_links *links = f ? forward_io_open(&ends, e) : NULL;
    int rc = links ? forward_io_run(links, f, e) : -1;

    forward_io_close(&links);
    forward_close(&f);
    model_close(&model);
    par_close(&par);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&forward_spec, run, argc, argv);
}
