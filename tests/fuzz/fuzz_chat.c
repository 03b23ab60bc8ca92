/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_chat - a chat template from anywhere: refused, or a text of a conversation within the
 * limits. */
#include <stdlib.h>
#include <string.h>
#include "../../common/jinja/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char chat[] = "{\"messages\":[{\"role\":\"system\",\"content\":\" s "
                               "\"},{\"role\":\"user\",\"content\":\"\\u00e4 <b>\\n\"},"
                               "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":"
                               "\"t\"}],\"tool_calls\":[{\"function\":{\"name\":\"f\","
                               "\"arguments\":{\"x\":1.5,\"y\":null}}}]}],\"tools\":[{\"name\":"
                               "\"f\"}],\"n\":-3,\"flag\":true}";
    struct err e = {0};
    struct chat *c = chat_parse((const char *)data, size, "template", &e);
    struct json *vars = c ? json_parse(chat, sizeof chat - 1, "chat", &e) : NULL;
    size_t n = 0, limit = 1 << 20;
    char *out;

    if (!c)
        return 0;
    if (!vars || chat_set_date(c, "2025-01-02", &e) < 0)
        abort();
    chat_limit(c, 20000, limit);
    out = chat_render(c, vars, &n, &e);
    if (out ? n > limit || out[n] : !e.text[0])
        abort();
    free(out);
    json_destroy(&vars);
    chat_close(&c);
    return 0;
}
