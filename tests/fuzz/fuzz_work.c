/* SPDX-License-Identifier: Apache-2.0 */
/* What a head tells a worker to run, as JSON: whatever is taken is one of our programs, with ends
 * on the head, and names no file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../pipelines/worker_slot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct worker_terms terms = {
        .host = "tcp://head", .sockets = "/s", .threads = 1, .forward = 1, .solve = 1};
    struct err e = {0};
    struct json *j = json_parse((const char *)data, size, "fuzz", &e);
    struct slot *s = j ? slot_create(j, &terms, &e) : NULL;

    if (j && !s && e.kind == ERR_NONE)
        abort();
    if (s && (strncmp(s->plan.argv[0], "ptq-", 4) != 0 || strchr(s->plan.argv[0], '/') ||
              s->plan.argv[s->plan.argc]))
        abort();
    if (s)
        slot_destroy(&s);
    json_destroy(&j);
    return 0;
}
