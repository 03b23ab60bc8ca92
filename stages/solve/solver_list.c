/* solver_list - every solver there is. A new one is one file and one line here. */
#include "solver.h"

#include <string.h>

extern const struct solver solver_gptq;
extern const struct solver solver_rtn;

static const struct solver *const list[] = {&solver_gptq, &solver_rtn};

const struct solver *solver_at(size_t i)
{
    return i < sizeof list / sizeof list[0] ? list[i] : NULL;
}

const struct solver *solver_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof list / sizeof list[0]; i++)
        if (strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}

int solver_takes(const struct solver *s, const char *option)
{
    const size_t n = strlen(option);
    const char *at = s->options;

    while (at && *at) {
        const size_t len = strcspn(at, ",");
        if (len == n && strncmp(at, option, n) == 0)
            return 1;
        at += len;
        at += *at == ',';
    }
    return 0;
}
