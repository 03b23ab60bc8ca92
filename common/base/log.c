/* SPDX-License-Identifier: Apache-2.0 */
/* log - one write(2) per line, so that lines of several processes on one stderr do not mix. A
 * live status line on a terminal is cleared first; the next update draws it again. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char stage_name[64] = "ptq";
static enum log_level wanted = LOG_NORMAL;

void log_init(const char *stage, enum log_level level)
{
    snprintf(stage_name, sizeof stage_name, "%s", stage);
    wanted = level;
}

static void put_line(const char *tag, const char *fmt, va_list ap)
{
    char line[2048];
    int at =
        snprintf(line, sizeof line - 1, "%s%s: %s", isatty(2) ? "\r\033[K" : "", stage_name, tag);
    size_t n;

    if (at < 0)
        return;
    vsnprintf(line + at, sizeof line - 1 - (size_t)at, fmt, ap);
    n = strlen(line);
    line[n++] = '\n';
    if (write(2, line, n) < 0)
        return; /* nobody to tell */
}

void log_info(const char *fmt, ...)
{
    va_list ap;

    if (wanted < LOG_NORMAL)
        return;
    va_start(ap, fmt);
    put_line("", fmt, ap);
    va_end(ap);
}

void log_detail(const char *fmt, ...)
{
    va_list ap;

    if (wanted < LOG_VERBOSE)
        return;
    va_start(ap, fmt);
    put_line("", fmt, ap);
    va_end(ap);
}

void log_warn(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_line("warning: ", fmt, ap);
    va_end(ap);
}

static void put_tagged(const char *tag, const char *fmt, ...) ERR_PRINTF(2, 3);
static void put_tagged(const char *tag, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_line(tag, fmt, ap);
    va_end(ap);
}

void log_fatal(const struct err *e)
{
    if (e->kind == ERR_PIPE)
        return;
    put_tagged("fatal: ", "%s", e->text[0] ? e->text : "unknown error");
}
