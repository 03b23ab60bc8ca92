/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_table - the answer to "status" as a table for people. */
#include "ctl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../common/base/plural.h"
#include "../common/base/term.h"

static const struct json *process_find(const struct json *answer, const struct json *like)
{
    const struct json *list = json_get(answer, "processes");

    for (size_t i = 0; i < json_count(list); i++)
        if (strcmp(json_text_or(json_at(list, i), "name", ""), json_text_or(like, "name", "")) == 0)
            return json_at(list, i);
    return NULL;
}

/* "b3 mlp.down", or what the stage says that it does. */
static void place(const struct json *status, char *out, size_t size)
{
    int64_t block = -1;
    int paused = 0;

    if (json_as_bool(json_get(status, "paused"), &paused) == 0 && paused)
        snprintf(out, size, "paused");
    else if (json_as_int(json_get(status, "block"), &block) == 0 && block >= 0)
        snprintf(out, size, "b%lld %.40s", (long long)block, json_text_or(status, "site", ""));
    else
        snprintf(out, size, "%.40s", json_text_or(status, "state", ""));
}

enum { NAME, PID, STATE, CPU, MEMORY, SECONDS, AT, DONE, RATE, BYTES, QUEUE, LANES, COLUMNS };

/* width below 0: on the left; from how many columns on it is shown */
static const struct column {
    const char *head;
    int width;
    size_t from;
} column[COLUMNS] = {
    [NAME] = {"process", -12, 0}, [PID] = {"pid", 7, 80},      [STATE] = {"state", -8, 0},
    [CPU] = {"CPU", 5, 0},        [MEMORY] = {"MiB", 6, 0},    [SECONDS] = {"seconds", 8, 100},
    [AT] = {"at", -13, 0},        [DONE] = {"done", 13, 80},   [RATE] = {"rate", 8, 80},
    [BYTES] = {"MB/s", 6, 100},   [QUEUE] = {"queue", 5, 100}, [LANES] = {"lanes", -9, 120},
};

static void print(FILE *f, size_t columns, const char *const cell[COLUMNS])
{
    char line[256];
    size_t at = 0;

    for (int i = 0; i < COLUMNS; i++) {
        const struct column *c = &column[i];
        const int width = c->width < 0 ? -c->width : c->width;

        if (c->from <= columns)
            at += (size_t)snprintf(line + at, sizeof line - at, "%s%*.*s", at ? " " : "", c->width,
                                   width, cell[i]);
    }
    while (at && line[at - 1] == ' ')
        line[--at] = '\0';
    fprintf(f, "%s\n", line);
}

static void head(FILE *f, size_t columns)
{
    const char *cell[COLUMNS];

    for (int i = 0; i < COLUMNS; i++)
        cell[i] = column[i].head;
    print(f, columns, cell);
}

/* Millions of bytes a second by its links, in and out; messages that wait for it. */
static void links(const struct json *status, const struct json *old, double span,
                  char text[COLUMNS][64])
{
    const double bytes = json_real_or(status, "received", 0) + json_real_or(status, "sent", 0),
                 before = json_real_or(old, "received", 0) + json_real_or(old, "sent", 0);

    if (bytes >= before && span > 0 && bytes > 0)
        snprintf(text[BYTES], sizeof *text, "%.1f", (bytes - before) / span / 1e6);
    if (json_has(status, "queue"))
        snprintf(text[QUEUE], sizeof *text, "%.0f", json_real_or(status, "queue", 0));
}

static void row(FILE *f, size_t columns, const struct json *p, const struct json *was)
{
    const struct json *status = json_get(p, "status"), *old = json_get(was, "status");
    double span = json_real_or(p, "seconds", 0) - json_real_or(was, "seconds", 0),
           done = json_real_or(status, "done", 0), before = json_real_or(old, "done", 0),
           cpu = json_real_or(p, "cpu_s", 0) - json_real_or(was, "cpu_s", 0);
    char text[COLUMNS][64] = {{0}};
    const char *cell[COLUMNS];

    for (int i = 0; i < COLUMNS; i++)
        cell[i] = text[i];
    cell[NAME] = json_text_or(p, "name", "");
    cell[STATE] = json_text_or(p, "state", "");
    snprintf(text[PID], sizeof *text, "%.0f", json_real_or(p, "pid", 0));
    snprintf(text[CPU], sizeof *text, "%.0f%%", span > 0 ? 100 * cpu / span : 0);
    snprintf(text[MEMORY], sizeof *text, "%.0f", json_real_or(p, "rss_mib", 0));
    snprintf(text[SECONDS], sizeof *text, "%.0f", json_real_or(p, "seconds", 0));
    place(status, text[AT], sizeof *text);
    if (json_real_or(status, "total", 0) > 0)
        snprintf(text[DONE], sizeof *text, "%.0f/%.0f %.16s", done,
                 json_real_or(status, "total", 0), json_text_or(status, "unit", ""));
    if (status && done >= before && span > 0 && done > 0)
        snprintf(text[RATE], sizeof *text, "%.1f/s", (done - before) / span);
    links(status, old, span, text);
    snprintf(text[LANES], sizeof *text, "%.60s", json_text_or(p, "lanes", ""));
    print(f, columns, cell);
}

/* ", paused since 14:03:10": by the clock of who looks. */
static void pause_text(double seconds, char *out, size_t size)
{
    const time_t since = time(NULL) - (time_t)seconds;
    struct tm tm;

    if (seconds > 0 && localtime_r(&since, &tm))
        strftime(out, size, ", paused since %H:%M:%S", &tm);
}

/* A line for each worker of another host. */
static void hosts(FILE *f, const struct json *list, size_t columns)
{
    char line[256];

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *x = json_at(list, i);

        snprintf(line, sizeof line, "worker %s: %s, %.0f forward, %.0f solve",
                 json_text_or(x, "name", ""), json_text_or(x, "state", ""),
                 json_real_or(x, "forward", 0), json_real_or(x, "solve", 0));
        term_clip(line, columns);
        fprintf(f, "%s\n", line);
    }
}

void ctl_table(FILE *f, const struct json *now, const struct json *before, size_t columns)
{
    const struct json *list = json_get(now, "processes");
    const double sites = json_real_or(now, "sites", 0);
    char line[1024], eta[40] = "", paused[32] = "";
    size_t left = 0;

    if (json_has(now, "eta_s"))
        snprintf(eta, sizeof eta, ", %.0f s left", json_real_or(now, "eta_s", 0));
    pause_text(json_real_or(now, "paused_s", 0), paused, sizeof paused);
    snprintf(line, sizeof line, "%.0f of %.0f site%s, %.0f%% of the work, %.0f s%s%s: %s -> %s",
             json_real_or(now, "sites_done", 0), sites, plural_s((uint64_t)sites),
             100 * json_real_or(now, "share", 0), json_real_or(now, "seconds", 0), eta, paused,
             json_text_or(now, "recipe", ""), json_text_or(now, "out", ""));
    term_clip(line, columns);
    fprintf(f, "%s\n", line);
    head(f, columns);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *p = json_at(list, i);

        if (strcmp(json_text_or(p, "state", ""), "ended") == 0)
            left++;
        else
            row(f, columns, p, process_find(before, p));
    }
    if (left)
        fprintf(f, "and %zu that ended\n", left);
    hosts(f, json_get(now, "hosts"), columns);
}
