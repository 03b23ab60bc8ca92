/* SPDX-License-Identifier: Apache-2.0 */
/* image_source - see image_source.h. */
#include "image_source.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/mem.h"
#include "image_file.h"

void image_bytes_release(struct image_bytes *x)
{
    free(x->data);
    free(x->name);
    *x = (struct image_bytes){0};
}

/* Value of a digit of base 64 (both alphabets), -1: none. */
static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c == '-' ? '+' : c == '_' ? '/' : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static int base64_read(const char *text, struct image_bytes *to, struct err *e)
{
    const size_t n = strlen(text);
    uint32_t bits = 0;
    unsigned have = 0;

    if (n / 4 * 3 > IMAGE_BYTES)
        return err_set(e, ERR_USE, "%s: more than the %zu bytes that are taken", to->name,
                       IMAGE_BYTES);
    if (!(to->data = mem_raw(n / 4 * 3 + 3, 1, e)))
        return -1;
    for (; *text && *text != '='; text++) {
        const int v = digit(*text);

        if (isspace((unsigned char)*text))
            continue;
        if (v < 0)
            return err_set(e, ERR_USE, "%s: no base 64", to->name);
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to->data[to->n++] = (uint8_t)(bits >> have);
        }
    }
    text += strspn(text, "= \t\r\n");
    return *text ? err_set(e, ERR_USE, "%s: no base 64", to->name) : 0;
}

/* "data:image/png;base64,..." */
static int data_read(const char *source, struct image_bytes *to, struct err *e)
{
    const char *comma = strchr(source, ',');
    const size_t head = comma ? (size_t)(comma - source) : strlen(source);

    if (!(to->name = mem_printf(e, "%.*s", (int)(head < 60 ? head : 60), source)))
        return -1;
    if (!comma || head < 7 || strncasecmp(comma - 7, ";base64", 7) != 0)
        return err_set(e, ERR_USE, "%s: only data in base 64 are read", to->name);
    return base64_read(comma + 1, to, e);
}

/* "file:///a%20b" is "/a b". */
static char *file_path(const char *source, struct err *e)
{
    const char *from = source + strlen("file:");
    char *path, *to;

    if (strncmp(from, "//", 2) == 0)
        from += 2;
    if (!(to = path = mem_text(from, e)))
        return NULL;
    for (; *from; from++) {
        char code[3] = "", *end = code;
        long v = 0;

        if (*from == '%' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2])) {
            memcpy(code, from + 1, 2);
            v = strtol(code, &end, 16);
        }
        *to++ = v > 0 ? (char)v : *from;
        from += v > 0 ? 2 : 0;
    }
    *to = '\0';
    return path;
}

/* From the folder of the data file. */
static char *path_beside(const char *path, const char *beside, struct err *e)
{
    const char *slash = beside ? strrchr(beside, '/') : NULL;

    if (*path == '/' || !slash)
        return mem_text(path, e);
    return mem_printf(e, "%.*s/%s", (int)(slash - beside), beside, path);
}

int image_source_read(const char *source, const char *beside, struct image_bytes *to, struct err *e)
{
    char *path;
    int rc;

    *to = (struct image_bytes){0};
    if (strncasecmp(source, "data:", 5) == 0) {
        rc = data_read(source, to, e);
    } else if (strncasecmp(source, "http:", 5) == 0 || strncasecmp(source, "https:", 6) == 0) {
        rc = err_set(e, ERR_USE, "%.200s: images are not fetched; download it, and name the file",
                     source);
    } else {
        path = strncasecmp(source, "file:", 5) == 0 ? file_path(source, e) : mem_text(source, e);
        to->name = path ? path_beside(path, beside, e) : NULL;
        free(path);
        rc = to->name ? image_file_read(to->name, &to->data, &to->n, e) : -1;
    }
    if (rc < 0)
        image_bytes_release(to);
    return rc;
}
