/* SPDX-License-Identifier: Apache-2.0 */
/* msg_expert - see msg_expert.h. */
#include "msg_expert.h"

#include <string.h>

#include "msg_check.h"

const char *expert_starved_name(enum expert_starved s)
{
    return s == STARVED_RTN ? "rtn" : "all-tokens";
}

int expert_read(const struct msg *m, struct msg_expert *x, struct err *e)
{
    const struct json *j = json_get(m->meta, "expert");
    const char *sums = json_as_text(json_get(j, "sums")),
               *starved = json_as_text(json_get(j, "starved"));
    int64_t below;

    *x = (struct msg_expert){.known = json_kind(j) != JSON_KIND_NULL};
    if (!x->known)
        return 0;
    if (!sums || (strcmp(sums, "routed") != 0 && strcmp(sums, "all") != 0) || !starved ||
        (strcmp(starved, "rtn") != 0 && strcmp(starved, "all-tokens") != 0) ||
        json_as_int(json_get(j, "below"), &below) < 0 || below < 0 || below > EXPERT_BELOW_MAX)
        return check_fail(m, e,
                          "field 'expert' must hold sums (routed, all), starved (rtn, all-tokens) "
                          "and below (0 to %d)",
                          EXPERT_BELOW_MAX);
    x->every = strcmp(sums, "all") == 0;
    x->starved = strcmp(starved, "rtn") == 0 ? STARVED_RTN : STARVED_ALL_TOKENS;
    x->below = (uint64_t)below;
    return 0;
}

int expert_put(struct msg *m, const struct msg_expert *x)
{
    struct json *j = x->known ? json_new_object() : NULL;

    if (!x->known)
        return 0;
    if (!j || json_set_text(j, "sums", x->every ? "all" : "routed") ||
        json_set_text(j, "starved", expert_starved_name(x->starved)) ||
        json_set_int(j, "below", (int64_t)x->below)) {
        json_destroy(&j);
        return -1;
    }
    return json_set(m->meta, "expert", j);
}

int expert_same(const struct msg_expert *a, const struct msg_expert *b)
{
    return a->known == b->known && a->every == b->every && a->starved == b->starved &&
           a->below == b->below;
}
