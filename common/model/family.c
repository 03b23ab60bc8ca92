/* SPDX-License-Identifier: Apache-2.0 */
/* family - the list of architectures. */
#include "family.h"

#include <stdio.h>
#include <string.h>

extern const struct family family_llama, family_mistral, family_qwen3;

static const struct family *const families[] = {&family_llama, &family_mistral, &family_qwen3};

const struct family *family_at(size_t i)
{
    return i < sizeof families / sizeof families[0] ? families[i] : NULL;
}

const struct family *family_find(const char *model_type)
{
    const struct family *f;

    for (size_t i = 0; (f = family_at(i)) != NULL; i++)
        if (strcmp(f->model_type, model_type) == 0)
            return f;
    return NULL;
}

const struct family *family_of(const struct config *c)
{
    const struct family *f = family_find(c->model_type);

    return f ? f : families[0];
}

void family_block_name(const struct family *f, size_t block, const char *part, const char *suffix,
                       char *out)
{
    snprintf(out, TENSOR_NAME, "%s.%zu.%s%s", f->blocks, block, part, suffix);
}
