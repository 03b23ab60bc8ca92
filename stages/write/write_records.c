/* SPDX-License-Identifier: Apache-2.0 */
/* write_records - see write_records.h. */
#include "write_records.h"

#include <string.h>

int records_act_bits(const struct json *prov)
{
    int64_t bits = 0;

    for (size_t i = 0; i < json_count(prov); i++) {
        const struct json *record = json_at(prov, i);
        const char *stage = json_as_text(json_get(record, "stage"));

        if (stage && strcmp(stage, "forward") == 0 && json_has(record, "act_bits") &&
            json_as_int(json_get(record, "act_bits"), &bits) == 0 && bits > 0 && bits <= 8)
            return (int)bits;
    }
    return 0;
}
