/* SPDX-License-Identifier: Apache-2.0 */
/* err - filling and prefixing the error value. Formats into a buffer of its own first, so that
 * arguments may point into the error that is being rewritten. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void store(struct err *e, enum err_kind kind, const char *text)
{
    e->kind = kind;
    snprintf(e->text, sizeof e->text, "%.*s", (int)sizeof e->text - 1, text);
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    int saved = errno;

    if (e) {
        char text[sizeof e->text];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        store(e, kind, text);
    }
    errno = saved;
    return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
    int saved = errno;

    if (e) {
        char text[sizeof e->text];
        size_t used;
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        used = strlen(text);
        snprintf(text + used, sizeof text - used, ": %s", strerror(saved));
        store(e, ERR_SYS, text);
    }
    errno = saved;
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    int saved = errno;

    if (e) {
        char text[2 * sizeof e->text + 4];
        size_t used;
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof e->text, fmt, ap);
        va_end(ap);
        used = strlen(text);
        snprintf(text + used, sizeof text - used, ": %s", e->text);
        store(e, e->kind, text);
    }
    errno = saved;
    return -1;
}

int err_exit(const struct err *e)
{
    return e ? (int)e->kind : 0;
}
