/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_pre_names - a pre_tokenizer of tokenizer.json from anywhere: it has a name or is refused,
 * and what the name stands for has one again. */
#include <stdint.h>
#include <stdlib.h>
#include "../../common/text/pre_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct json *j = json_parse((const char *)data, size, "fuzz", &e), *cut;
    const struct pre_name *p = j ? pre_name_of(j, size % 2, size % 3 == 0, &e) : NULL;

    if (j && !p && !e.kind)
        abort();
    if (p && (cut = pre_name_cut(p))) {
        if (pre_name_of(cut, p->nfc, p->ignore_merges, &e) == NULL)
            abort();
        json_destroy(&cut);
    }
    json_destroy(&j);
    return 0;
}
