/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_waits - see hosts_waits.h. */
#include "hosts_waits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/mem.h"

#define SAME_S 1.5 /* clocks of two hosts, and a word on its way, differ by less */

/* The row of a process that began then; a new one where it is not known, or is another under the
 * same name. NULL: no room. */
static struct host_waits *row_find(struct hosts_waits *x, size_t host, const char *name,
                                   double from)
{
    struct host_waits *r;
    size_t n = 0;

    for (size_t i = x->count; i-- > 0;) {
        if (x->row[i]->host != host)
            continue;
        if (strcmp(x->row[i]->name, name) == 0 && fabs(x->row[i]->from - from) < SAME_S)
            return x->row[i];
        n++;
    }
    if (n == HOSTS_WAITS_EACH ||
        mem_grow((void **)&x->row, &x->room, x->count + 1, sizeof *x->row, NULL) < 0 ||
        !(r = mem_array(1, sizeof *r, NULL)))
        return NULL;
    snprintf(r->name, sizeof r->name, "%s", name);
    r->host = host;
    r->from = from;
    return x->row[x->count++] = r;
}

static void process_take(struct hosts_waits *x, size_t host, const char *name, const struct json *p,
                         double now)
{
    const char *label = json_text_or(p, "name", "");
    const double age = json_real_or(p, "age", NAN);
    char whole[sizeof x->row[0]->name];
    struct host_waits *r;

    if (!*label || !(age >= 0) || age > now)
        return;
    snprintf(whole, sizeof whole, "%.64s %.60s", name, label);
    if (!(r = row_find(x, host, whole, now - age)))
        return;
    snprintf(r->stage, sizeof r->stage, "%.*s", (int)strcspn(label, "."), label);
    r->to = now;
    waits_take(&r->w, r->from, json_get(p, "waited"), now);
}

void hosts_waits_take(struct hosts_waits *x, size_t host, const char *name,
                      const struct json *processes, double now)
{
    if (json_kind(processes) != JSON_KIND_ARRAY)
        return;
    for (size_t i = 0; i < json_count(processes) && i < HOSTS_WAITS_EACH; i++)
        process_take(x, host, name, json_at(processes, i), now);
}

void hosts_waits_release(struct hosts_waits *x)
{
    for (size_t i = 0; i < x->count; i++)
        free(x->row[i]);
    free(x->row);
    *x = (struct hosts_waits){0};
}
