/* SPDX-License-Identifier: Apache-2.0 */
/* cause - see cause.h. */
#include "cause.h"

#include <string.h>

#define ECHO_WEIGHT 2 /* of those that only heard of it, at most */

/* How likely a bad end is the cause of the others: its own words against what it heard from a
 * neighbour; who lost one against who heard of that. */
static int weight(const struct child *c)
{
    static const char *const echo[] = {"incomplete", "peer", "left the stream",
                                       "is gone: its connection broke", "not a sign of life"};
    int heard = 0;

    if (c->code == 0)
        return 0;
    if (c->signal)
        return 6;
    if (c->code == ERR_USE)
        return 5;
    for (size_t i = 0; i < sizeof echo / sizeof *echo; i++)
        heard = heard || strstr(c->last, echo[i]);
    return (heard ? 1 : 3) + (c->code == ERR_SYS);
}

const struct child *cause_first(const struct supervise *s, size_t ended)
{
    const struct child *worst = NULL;

    for (size_t i = 0; i < s->plan->count; i++) {
        const struct child *c = &s->child[i];

        if (c->code == 0 || c->forgiven || (s->stopping && c->turn >= ended))
            continue;
        if (!worst || weight(c) > weight(worst) ||
            (weight(c) == weight(worst) && c->turn < worst->turn))
            worst = c;
    }
    return worst;
}

int cause_is_echo(const struct child *c)
{
    return c && weight(c) <= ECHO_WEIGHT;
}
