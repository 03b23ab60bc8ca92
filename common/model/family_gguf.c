/* SPDX-License-Identifier: Apache-2.0 */
/* family_gguf - the architectures of GGUF files that families have: what gguf_names.h asks for. */
#include "family.h"

const struct gguf_arch *gguf_arch_at(size_t i)
{
    const struct family *f;

    for (size_t k = 0; (f = family_at(k)) != NULL; k++)
        if (f->gguf && i-- == 0)
            return f->gguf;
    return NULL;
}
