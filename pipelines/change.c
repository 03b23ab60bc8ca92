/* SPDX-License-Identifier: Apache-2.0 */
/* change - see change.h. */
#include "change.h"

#include "precheck.h"
#include "specs.h"

/* The command by itself: *x is NULL for a program that is not ours. */
static int parse(const struct launch_process *p, struct stage **x, struct err *e)
{
    const struct stage_spec *spec = specs_find(p->argv[0]);
    int rc;

    *x = NULL;
    if (!spec)
        return 0;
    if (!(*x = stage_open(spec, e)))
        return -1;
    rc = stage_parse(*x, (int)p->argc, p->argv, e);
    if (rc > 0)
        err_set(e, ERR_USE, "the command only asks for help");
    if (rc == 0 && (rc = stage_check(*x, e)) == 0)
        return 0;
    stage_close(x);
    return -1;
}

int change_check(struct change *c, const struct launch_process *p, char note[LOADS_TEXT],
                 struct err *e)
{
    struct stage **at = &c->route->stage[p->stage], *const now = *at;
    int rc;

    *note = '\0';
    change_drop(c);
    if (parse(p, &c->next, e) < 0)
        return err_prefix(e, "stage '%s'", c->route->r->stage[p->stage].name);
    c->loads_next = c->loads;
    *at = c->next;
    rc = precheck_solvers(c->route, c->sites, &c->loads_next, e);
    *at = now;
    c->open = 1;
    c->stage = p->stage;
    if (rc < 0)
        change_drop(c);
    else
        loads_fewer(&c->loads, &c->loads_next, note);
    return rc;
}

void change_make(struct change *c)
{
    if (!c->open)
        return;
    stage_close(&c->route->stage[c->stage]);
    c->route->stage[c->stage] = c->next;
    c->loads = c->loads_next;
    c->next = NULL;
    c->open = 0;
}

void change_drop(struct change *c)
{
    stage_close(&c->next);
    c->open = 0;
}
