/* SPDX-License-Identifier: Apache-2.0 */
/* sample_paces - see sample_paces.h. */
#include "sample_paces.h"

#include <stdlib.h>
#include <string.h>

#include "../../common/base/mem.h"

#define PACE_MAX 1e6 /* times as fast as others: more is a slip of the pen */

/* One of them, which ends at a comma or with the text; where that is, NULL: it is none. */
static const char *pace_read(const char *at, struct sample_pace *p)
{
    const size_t n = strcspn(at, "=,");
    char *end;

    if (!n || n >= sizeof p->place || at[n] != '=')
        return NULL;
    *p = (struct sample_pace){.pace = strtod(at + n + 1, &end)};
    memcpy(p->place, at, n);
    return end > at + n + 1 && (!*end || *end == ',') && p->pace >= 1 / PACE_MAX &&
                   p->pace <= PACE_MAX
               ? end
               : NULL;
}

int paces_parse(const char *text, struct sample_pace **out, size_t *n, struct err *e)
{
    struct sample_pace *all = NULL;
    const char *at = text;
    size_t room = 0;

    *n = 0;
    *out = NULL;
    if (!text)
        return 0;
    for (;; at++) {
        if (mem_grow((void **)&all, &room, *n + 1, sizeof *all, e) < 0)
            break;
        if (!(at = pace_read(at, &all[*n]))) {
            err_set(e, ERR_USE, "'%.200s': say PLACE=X,..., X from %g to %g", text, 1 / PACE_MAX,
                    PACE_MAX);
            break;
        }
        ++*n;
        if (!*at) {
            *out = all;
            return 0;
        }
    }
    free(all);
    *n = 0;
    return -1;
}

double paces_of(const struct sample_pace *p, size_t n, const char *place)
{
    for (size_t i = 0; i < n; i++) {
        const size_t k = strlen(p[i].place);

        if (strncmp(place, p[i].place, k) == 0 && (!place[k] || place[k] == '.'))
            return p[i].pace;
    }
    return 1;
}
