/* SPDX-License-Identifier: Apache-2.0 */
/* config_text - edits of config.json as text. */
#include "config_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"

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

/* text[i] begins a value: index behind it. */
static size_t value_end(const char *text, size_t length, size_t i)
{
    size_t depth = 0;

    if (i < length && text[i] != '{' && text[i] != '[' && text[i] != '"') {
        while (i < length && !strchr(",}] \t\r\n", text[i]))
            i++;
        return i;
    }
    for (; i < length; i++) {
        if (text[i] == '"')
            i = string_end(text, length, i);
        depth += i < length && (text[i] == '{' || text[i] == '[');
        depth -= i < length && (text[i] == '}' || text[i] == ']');
        if (depth == 0)
            break;
    }
    return i + 1;
}

/* Keys of which depth are meant: 1 of the outermost object. */
#define ANY_DEPTH SIZE_MAX

/* The span of the value of the first such key behind text[from], and where the key begins.
 * text[from] stands where it does for depth 0, or any depth is meant. 1 found, 0 not. */
static int value_find_from(const char *text, size_t length, size_t from, size_t wanted,
                           const char *key, size_t *name, size_t *first, size_t *end)
{
    size_t n = strlen(key), depth = 0;

    for (size_t i = from; i < length; i++) {
        size_t close, at;

        depth += text[i] == '{' || text[i] == '[';
        depth -= text[i] == '}' || text[i] == ']';
        if (text[i] != '"')
            continue;
        close = string_end(text, length, i);
        at = skip_space(text, length, close + 1);
        if ((wanted == ANY_DEPTH || depth == wanted) && at < length && text[at] == ':' &&
            close - i - 1 == n && !memcmp(text + i + 1, key, n)) {
            *name = i;
            *first = skip_space(text, length, at + 1);
            *end = value_end(text, length, *first);
            return *end <= length;
        }
        i = close;
    }
    return 0;
}

static int value_find(const char *text, size_t length, const char *key, size_t *name, size_t *first,
                      size_t *end)
{
    return value_find_from(text, length, 0, 1, key, name, first, end);
}

static const char *dtype_text(enum dtype t)
{
    switch (t) {
    case DT_F16:
        return "\"float16\"";
    case DT_BF16:
        return "\"bfloat16\"";
    case DT_F32:
        return "\"float32\"";
    default:
        return NULL;
    }
}

/* Replaces the value of key where it is there; *text is replaced, *found counts. */
static int value_set(char **text, const char *key, const char *value, int *found, struct err *e)
{
    size_t name, first, end;
    char *out;

    if (!value_find(*text, strlen(*text), key, &name, &first, &end))
        return 0;
    if (!(out = mem_printf(e, "%.*s%s%s", (int)first, *text, value, *text + end)))
        return -1;
    free(*text);
    *text = out;
    ++*found;
    return 0;
}

int config_text_add(char **text, const char *key, const char *value, struct err *e)
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

int config_text_set(char **text, const char *key, const char *value, struct err *e)
{
    int found = 0;

    if (value_set(text, key, value, &found, e))
        return -1;
    return found ? 0 : config_text_add(text, key, value, e);
}

int config_text_set_all(char **text, const char *key, const char *value, struct err *e)
{
    size_t from = 0, name, first, end;

    if (config_text_set(text, key, value, e))
        return -1;
    while (value_find_from(*text, strlen(*text), from, ANY_DEPTH, key, &name, &first, &end)) {
        char *out = mem_printf(e, "%.*s%s%s", (int)first, *text, value, *text + end);

        if (!out)
            return -1;
        free(*text);
        *text = out;
        from = first + strlen(value);
    }
    return 0;
}

int config_text_drop(char **text, const char *key, struct err *e)
{
    const size_t length = strlen(*text);
    size_t name, first, end, next;
    char *out;

    if (!value_find(*text, length, key, &name, &first, &end))
        return 0;
    next = skip_space(*text, length, end);
    if (next < length && (*text)[next] == ',') {
        end = skip_space(*text, length, next + 1);
    } else { /* the last one: the comma before it goes too */
        while (name && strchr(" \t\r\n", (*text)[name - 1]))
            name--;
        name -= name && (*text)[name - 1] == ',';
    }
    if (!(out = mem_printf(e, "%.*s%s", (int)name, *text, *text + end)))
        return -1;
    free(*text);
    *text = out;
    return 0;
}

int config_text_dtype(char **text, enum dtype dtype, struct err *e)
{
    const char *name = dtype_text(dtype);
    int found = 0;

    if (!name)
        return 0;
    if (value_set(text, "torch_dtype", name, &found, e) ||
        value_set(text, "dtype", name, &found, e))
        return -1;
    return found ? 0 : config_text_add(text, "torch_dtype", name, e);
}
