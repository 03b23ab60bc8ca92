/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-law - how much must stay in high precision, and how fine must the blocks be? */
#include "law_fit.h"
#include "law_opts.h"
#include "law_page.h"
#include "law_print.h"

#include "../../../common/base/fs.h"
#include "../runs_apart.h"

static int run(struct stage *s, struct err *e)
{
    static int (*const print[])(FILE *, const struct law *, const struct law_points *,
                                const struct law_command *, struct err *) = {
        law_print_fit, law_print_prediction, law_print_advice};
    const struct law_command *c = s->own;
    struct law_points p;
    struct law *l = NULL;
    int rc = -1;

    if (runs_apart("--page", c->page, s->args.arg + 1, s->args.count - 1, e) < 0)
        return -1;
    if (law_points_read(&p, s->args.arg + 1, s->args.count - 1, c->measure, c->data, e) < 0)
        return -1;
    if (c->verb == LAW_POINTS)
        rc = law_print_points(stdout, &p, e);
    else if ((l = law_open(&p, e)))
        rc = print[c->verb](stdout, l, &p, c, e);
    if (rc == 0 && l && c->page)
        rc = law_page(c->page, l, &p, e);
    if (rc == 0)
        rc = fs_flush(stdout, e);
    law_close(&l);
    law_points_release(&p);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&law_spec, run, argc, argv);
}
