/* SPDX-License-Identifier: Apache-2.0 */
/* write_config - config.json of the output: the source's text with a quantization_config behind
 * it. */
#include <stdlib.h>
#include <string.h>

#include "../../common/base/mem.h"
#include "../../common/model/config_text.h"
#include "write_assemble.h"

/* Printed JSON, moved two columns to the right as a member of the top level is. */
static char *indented(const struct json *j, struct err *e)
{
    char *text = json_print(j, 2, e), *out = NULL, *to;
    size_t lines = 0;

    if (!text)
        return NULL;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    if ((out = to = mem_array(strlen(text) + 2 * lines + 1, 1, e))) {
        for (const char *c = text; *c; c++) {
            *to++ = *c;
            if (*c == '\n') {
                *to++ = ' ';
                *to++ = ' ';
            }
        }
    }
    free(text);
    return out;
}

char *config_edit(const char *text, size_t length, const struct json *quantization,
                  enum dtype dtype, const char *what, struct err *e)
{
    struct json *parsed = json_parse(text, length, what, e);
    char *out = NULL, *member = NULL;

    if (!parsed)
        return NULL;
    if (json_kind(parsed) != JSON_KIND_OBJECT || format_check_plain(parsed, what, NULL) ||
        strlen(text) != length) {
        err_set(e, ERR_USE, "%s: not the config of an unquantized model", what);
        goto out;
    }
    if (!(out = mem_text(text, e)))
        goto out;
    if (config_text_dtype(&out, dtype, e))
        goto fail;
    if (quantization && (!(member = indented(quantization, e)) ||
                         config_text_set(&out, "quantization_config", member, e)))
        goto fail;
    goto out;
fail:
    free(out);
    out = NULL;
out:
    free(member);
    json_destroy(&parsed);
    return out;
}
