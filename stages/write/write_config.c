/* write_config - edits of config.json that leave the source's spelling alone: printing the
 * parsed tree again would turn 1e-06 into seventeen digits and lose the layout that people
 * compare by eye. The text has been parsed before, so the scan below may rely on its being an
 * object in valid JSON. */
#include <stdlib.h>
#include <string.h>

#include "../../common/base/mem.h"
#include "write_format.h"

/* text[i] is the opening quote: index of the closing one. */
static size_t string_end(const char *text, size_t length, size_t i)
{
    for (i++; i < length && text[i] != '"'; i++)
        i += text[i] == '\\';
    return i;
}

static size_t skip_space(const char *text, size_t length, size_t i)
{
    while (i < length && strchr(" \t\r\n", text[i]) && text[i])
        i++;
    return i;
}

/* The span of the value of a top-level key that holds a scalar. 1 found, 0 not. */
static int value_find(const char *text, size_t length, const char *key, size_t *first, size_t *end)
{
    size_t n = strlen(key), depth = 0;

    for (size_t i = 0; i < length; i++) {
        size_t close, at;

        depth += text[i] == '{' || text[i] == '[';
        depth -= text[i] == '}' || text[i] == ']';
        if (text[i] != '"')
            continue;
        close = string_end(text, length, i);
        at = skip_space(text, length, close + 1);
        if (depth == 1 && at < length && text[at] == ':' && close - i - 1 == n && !memcmp(text + i + 1, key, n)) {
            *first = skip_space(text, length, at + 1);
            if (*first < length && text[*first] == '"')
                *end = string_end(text, length, *first) + 1;
            else
                for (*end = *first; *end < length && !strchr(",}] \t\r\n", text[*end]);)
                    ++*end;
            return *end <= length;
        }
        i = close;
    }
    return 0;
}

static const char *dtype_text(enum dtype t)
{
    switch (t) {
    case DT_F16: return "\"float16\"";
    case DT_BF16: return "\"bfloat16\"";
    case DT_F32: return "\"float32\"";
    default: return NULL;
    }
}

/* Replaces the value of key where it is there; *text is replaced, *found counts. */
static int value_set(char **text, const char *key, const char *value, int *found, struct err *e)
{
    size_t first, end;
    char *out;

    if (!value_find(*text, strlen(*text), key, &first, &end))
        return 0;
    if (!(out = mem_printf(e, "%.*s%s%s", (int)first, *text, value, *text + end)))
        return -1;
    free(*text);
    *text = out;
    ++*found;
    return 0;
}

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

/* Puts `"key": value` behind the last member. */
static int member_add(char **text, const char *key, const char *value, struct err *e)
{
    size_t end = strlen(*text);
    char *out;
    int empty;

    while (end && (*text)[end - 1] != '}')
        end--;
    for (end -= end > 0; end && strchr(" \t\r\n", (*text)[end - 1]);)
        end--;
    empty = end == 0 || (*text)[end - 1] == '{';
    out = mem_printf(e, "%.*s%s\n  \"%s\": %s\n}\n", (int)end, *text, empty ? "" : ",", key, value);
    if (!out)
        return -1;
    free(*text);
    *text = out;
    return 0;
}

char *config_edit(const char *text, size_t length, const struct json *quantization, enum dtype dtype, const char *what,
                  struct err *e)
{
    struct json *parsed = json_parse(text, length, what, e);
    char *out = NULL, *member = NULL;
    int found = 0;

    if (!parsed)
        return NULL;
    if (json_kind(parsed) != JSON_KIND_OBJECT || json_get(parsed, "quantization_config") || strlen(text) != length) {
        err_set(e, ERR_USE, "%s: not the config of an unquantized model", what);
        goto out;
    }
    if (!(out = mem_text(text, e)))
        goto out;
    if (dtype_text(dtype) && (value_set(&out, "torch_dtype", dtype_text(dtype), &found, e) ||
                              value_set(&out, "dtype", dtype_text(dtype), &found, e)))
        goto fail;
    if (dtype_text(dtype) && !found && member_add(&out, "torch_dtype", dtype_text(dtype), e))
        goto fail;
    if (quantization && (!(member = indented(quantization, e)) ||
                         member_add(&out, "quantization_config", member, e)))
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
