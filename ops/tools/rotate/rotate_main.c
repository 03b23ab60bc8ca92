/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-rotate - folds a rotation of the residual stream into a checkpoint. The work is in
 * rotate.c. */
#include "../../../common/base/log.h"
#include "../../../common/base/status.h"
#include "../../../common/model/model.h"
#include "rotate.h"
#include "rotate_opts.h"

static int run(struct stage *s, struct err *e)
{
    const struct rotate_command *c = s->own;
    const struct rotate_opts o = {
        c->model,          s->args.arg[0],       (enum rotation_kind)c->kind,
        (uint64_t)c->seed, (enum dtype)c->dtype, (size_t)s->threads};
    struct rotate_report report;

    if (rotate_run(&o, &report, e) < 0)
        return -1;
    status_end();
    if (report.own_head)
        log_warn(MODEL_OWN_HEAD, o.model);
    if (report.core)
        log_info("'%s': %s rotation of order %zu = %zu x %zu%s", o.out, rotation_name(report.kind),
                 report.order, report.core, report.order / report.core,
                 report.untied ? "; embeddings and head are untied now" : "");
    else
        log_info("'%s': %s rotation of order %zu%s", o.out, rotation_name(report.kind),
                 report.order, report.untied ? "; embeddings and head are untied now" : "");
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(&rotate_spec, run, argc, argv);
}
