/* SPDX-License-Identifier: Apache-2.0 */
/* msgpack of metadata: whatever is taken can be written and read again, the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/mpk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct json *j = mpk_decode(data, size, "fuzz", &e), *back;
    void *first, *second;
    size_t n, m;

    if (!j)
        return e.kind == ERR_NONE ? abort(), 0 : 0;
    if (mpk_encode(j, &first, &n, &e) < 0 || !(back = mpk_decode(first, n, "fuzz", &e)) ||
        mpk_encode(back, &second, &m, &e) < 0 || n != m || memcmp(first, second, n) != 0)
        abort();
    free(first);
    free(second);
    json_destroy(&back);
    json_destroy(&j);
    return 0;
}
