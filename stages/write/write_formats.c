/* SPDX-License-Identifier: Apache-2.0 */
/* write_formats - the only list of output formats. */
#include <string.h>

#include "write_format.h"

extern const struct output_format format_gptq, format_dense;

static const struct output_format *const formats[] = {&format_gptq, &format_dense};

const struct output_format *format_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}
