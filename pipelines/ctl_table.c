/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_table - the answer to "status" as a table for people. */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

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

    if (json_as_int(json_get(status, "block"), &block) == 0 && block >= 0)
        snprintf(out, size, "b%lld %.40s", (long long)block, json_text_or(status, "site", ""));
    else
        snprintf(out, size, "%.40s", json_text_or(status, "state", ""));
}

static void row(FILE *f, const struct json *p, const struct json *was)
{
    const struct json *status = json_get(p, "status"), *old = json_get(was, "status");
    double span = json_real_or(p, "seconds", 0) - json_real_or(was, "seconds", 0),
           done = json_real_or(status, "done", 0), before = json_real_or(old, "done", 0);
    char at[64], rate[48] = "", share[48] = "";

    place(status, at, sizeof at);
    if (status && done >= before && span > 0 && done > 0)
        snprintf(rate, sizeof rate, "%.1f %.16s/s", (done - before) / span,
                 json_text_or(status, "unit", ""));
    if (json_real_or(status, "total", 0) > 0)
        snprintf(share, sizeof share, "%.0f/%.0f", done, json_real_or(status, "total", 0));
    fprintf(f, "%-12.12s %8.0f %-8.8s %5.0f%% %9.0f %8.0f  %-18.18s %11s %16s\n",
            json_text_or(p, "name", ""), json_real_or(p, "pid", 0), json_text_or(p, "state", ""),
            span > 0 ? 100 * (json_real_or(p, "cpu_s", 0) - json_real_or(was, "cpu_s", 0)) / span
                     : 0,
            json_real_or(p, "rss_mib", 0), json_real_or(p, "seconds", 0), at, share, rate);
}

void ctl_table(FILE *f, const struct json *now, const struct json *before)
{
    const struct json *list = json_get(now, "processes");
    size_t left = 0;

    fprintf(f, "%s -> %s: %.0f of %.0f sites, %.0f%% of the work, %.0f s\n",
            json_text_or(now, "recipe", ""), json_text_or(now, "out", ""),
            json_real_or(now, "sites_done", 0), json_real_or(now, "sites", 0),
            100 * json_real_or(now, "share", 0), json_real_or(now, "seconds", 0));
    fprintf(f, "%-12s %8s %-8s %6s %9s %8s  %-18s %11s %16s\n", "process", "pid", "state", "CPU",
            "RSS MiB", "seconds", "at", "done", "rate");
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *p = json_at(list, i);

        if (strcmp(json_text_or(p, "state", ""), "ended") == 0)
            left++;
        else
            row(f, p, process_find(before, p));
    }
    if (left)
        fprintf(f, "and %zu that ended\n", left);
}
