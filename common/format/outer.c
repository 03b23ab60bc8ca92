/* SPDX-License-Identifier: Apache-2.0 */
/* outer - see outer.h. */
#include "outer.h"

#include <stdio.h>
#include <string.h>

size_t outer_block(const char *name)
{
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        const size_t n = strspn(dot + 1, "0123456789");

        if (n && dot[1 + n] == '.')
            return (size_t)(dot + 2 + n - name);
    }
    return 0;
}

/* "model.language_model." of the linears: what stands before "layers.3.". */
static size_t decoder_prefix(const struct format_model *m)
{
    const char *name = m->count ? m->linear[0]->name : "";
    size_t n = outer_block(name);

    for (int dots = 0; n > 0; n--)
        if (name[n - 1] == '.' && ++dots == 3) /* behind the number, before it, before "layers" */
            break;
    return n;
}

int outer_part(const struct format_model *m, const char *name, char *to, size_t room)
{
    const size_t n = decoder_prefix(m);
    const char *part = strncmp(name, "model.", 6) == 0 ? name + 6 : name;
    const char *dot = strchr(part, '.');

    if (!n || !dot || strncmp(name, m->linear[0]->name, n) == 0 || strcmp(dot, ".lm_head") == 0 ||
        strcmp(dot, ".embed_tokens") == 0)
        return 0;
    snprintf(to, room, "%.*s", (int)(dot - part), part);
    return 1;
}
