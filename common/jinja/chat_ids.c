/* SPDX-License-Identifier: Apache-2.0 */
/* chat_ids - see chat_ids.h. */
#include "chat_ids.h"

#include <stdlib.h>
#include <string.h>

int chat_ids(const struct chat *c, const struct tokenizer *t, const struct json *vars, int32_t bos,
             int bare, int32_t **ids, size_t *count, int *removed, struct err *e)
{
    size_t n;
    char *text = chat_render(c, vars, &n, e);
    int rc = text ? tokenizer_encode(t, text, n, 0, 1, ids, count, e) : -1;

    *removed = 0;
    if (rc == 0 && *count && bos >= 0 && (*ids)[0] == bos &&
        (bare || (*count > 1 && (*ids)[1] == bos))) {
        memmove(*ids, *ids + 1, --*count * sizeof **ids);
        *removed = 1;
    }
    free(text);
    return rc < 0 ? -1 : 0;
}
