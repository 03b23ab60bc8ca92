/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_ports - see hosts_ports.h. */
#include "hosts_ports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/mem.h"
#include "hosts_url.h"

#define BINDS "@ipc://"
#define ALSO ",tcp://"

/* In place of the word at i. */
static int word_put(struct launch_process *p, size_t i, char *word)
{
    if (!word)
        return -1;
    free(p->argv[i]);
    p->argv[i] = word;
    return 0;
}

char *ports_next(struct hosts_ports *x, struct err *e)
{
    if (!x->last)
        return mem_printf(e, "%s:*", x->base);
    if (x->last < HOSTS_PORT_MAX)
        return mem_printf(e, "%s:%ld", x->base, ++x->last);
    err_set(e, ERR_USE, "--listen: the ports behind that of the run do not suffice");
    return NULL;
}

static int port_give(struct hosts_ports *x, struct launch_process *p, size_t i, struct err *e)
{
    char *at = ports_next(x, e);
    int rc = at ? word_put(p, i, mem_printf(e, "%s,%s", p->argv[i], at)) : -1;

    free(at);
    return rc;
}

int ports_give(struct hosts_ports *x, struct launch_process *p, struct err *e)
{
    int binds = 0;

    for (size_t i = 1; i < p->argc && p->ours; i++)
        if (strncmp(p->argv[i], BINDS, strlen(BINDS)) == 0 && !strstr(p->argv[i], ALSO)) {
            binds = 1;
            if (port_give(x, p, i, e) < 0)
                return -1;
        }
    return binds && x->keys && !launch_value(p, "--keys") ? launch_give(p, "--keys", x->keys, e)
                                                          : 0;
}

int ports_keep(const struct hosts_ports *x, struct launch_process *p, struct err *e)
{
    for (size_t i = 1; i < p->argc; i++) {
        const char *word = p->argv[i], *also = strstr(word, ALSO), *at;

        if (strncmp(word, BINDS, strlen(BINDS)) != 0 || !also || !(at = ports_at(x, word + 1)))
            continue;
        if (word_put(p, i, mem_printf(e, "%.*s,%s", (int)(also - word), word, at)) < 0)
            return -1;
    }
    return 0;
}

void ports_bound(struct hosts_ports *x, const char *here, const char *at)
{
    struct hosts_place one = {mem_text(here, NULL), mem_text(at, NULL)};

    if (one.here && one.at && strrchr(at, ':') &&
        mem_grow((void **)&x->place, &x->room, x->count + 1, sizeof *x->place, NULL) == 0) {
        x->place[x->count++] = one;
        return;
    }
    free(one.here);
    free(one.at);
}

const char *ports_at(const struct hosts_ports *x, const char *here)
{
    const size_t n = strcspn(here, ",");

    for (size_t i = x->count; i-- > 0;)
        if (strlen(x->place[i].here) == n && strncmp(x->place[i].here, here, n) == 0)
            return x->place[i].at;
    return NULL;
}

void ports_forget(struct hosts_ports *x)
{
    for (size_t i = 0; i < x->count; i++) {
        free(x->place[i].here);
        free(x->place[i].at);
    }
    x->count = 0;
}

void ports_release(struct hosts_ports *x)
{
    ports_forget(x);
    free(x->place);
    x->place = NULL;
    x->room = 0;
}
