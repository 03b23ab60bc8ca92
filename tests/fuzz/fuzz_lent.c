/* SPDX-License-Identifier: Apache-2.0 */
/* The list of files that a head lends, as JSON: whatever is taken names files in one folder. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../pipelines/lent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct json *j = json_parse((const char *)data, size, "fuzz", &e);
    struct lent l;
    uint64_t sum = 0;
    char digest[DIGEST_TEXT];

    if (j && lent_read(j, &l, &e) == 0) {
        for (size_t i = 0; i < l.count; i++) {
            const char *name = l.file[i].name;

            if (!*name || *name == '.' || strchr(name, '/') || strlen(name) >= LENT_NAME ||
                !digest_is_text(l.file[i].digest))
                abort();
            sum += l.file[i].bytes;
        }
        if (!l.count || l.count > LENT_FILES || sum != l.bytes || sum > INT64_MAX)
            abort();
        lent_digest(&l, digest);
        lent_release(&l);
    } else if (e.kind == ERR_NONE) {
        abort();
    }
    json_destroy(&j);
    return 0;
}
