/* SPDX-License-Identifier: Apache-2.0 */
/* needless - see needless.h. */
#include "needless.h"

#include <string.h>
#include "../common/wire/link_zmq.h"

int needless_feeds(const struct launch_process *p)
{
    int fed = 0;

    for (size_t k = 1; k + 1 < p->argc && p->ours; k++) {
        const char *to = p->argv[k + 1] + (p->argv[k + 1][0] == '@');

        if (strcmp(p->argv[k], "--record") == 0)
            return 0;
        fed = fed || (strcmp(p->argv[k], "--out") == 0 &&
                      (strncmp(to, "ipc://", 6) == 0 || zsock_is_tcp(to)));
    }
    return fed;
}

int needless_delivered(const struct supervise *s)
{
    size_t writers = 0;

    for (size_t i = 0; i < s->plan->count; i++) {
        const struct child *c = &s->child[i];
        const char *slash = strrchr(c->plan->program, '/');

        if (c->past || strcmp(slash ? slash + 1 : c->plan->program, "ptq-write") != 0)
            continue;
        writers++;
        if (c->exited ? c->code != 0
                      : !child_says(c, STATUS_ASSEMBLE) && !child_says(c, STATUS_PUBLISHED))
            return 0;
    }
    return writers > 0;
}
