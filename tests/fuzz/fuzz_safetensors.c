/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_safetensors - a header from anywhere. The first two bytes say how much data the file
 * claims to have. What is accepted must fill the data exactly, sorted by name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/tensor/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct st_entry *entries;
    struct json *meta;
    struct err e = {0};
    size_t count;
    uint64_t room, sum = 0;

    if (size < 2)
        return 0;
    room = (uint64_t)data[0] + 256u * data[1];
    if (st_parse_header((const char *)data + 2, size - 2, 8 + (size - 2) + room, "fuzz", &entries,
                        &count, &meta, &e))
        return e.kind ? 0 : (abort(), 0);
    for (size_t i = 0; i < count; i++) {
        sum += entries[i].bytes;
        if (i && strcmp(entries[i - 1].name, entries[i].name) >= 0)
            abort();
    }
    if (sum != room)
        abort();
    free(entries);
    json_destroy(&meta);
    return 0;
}
