/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_table - the answer to "status" as a table for people. */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

static double real_of(const struct json *j, const char *key)
{
    double v = 0;

    json_as_real(json_get(j, key), &v);
    return v;
}

static const char *text_of(const struct json *j, const char *key)
{
    const char *text = json_as_text(json_get(j, key));

    return text ? text : "";
}

static const struct json *process_find(const struct json *answer, const struct json *like)
{
    const struct json *list = json_get(answer, "processes");

    for (size_t i = 0; i < json_count(list); i++)
        if (strcmp(text_of(json_at(list, i), "name"), text_of(like, "name")) == 0)
            return json_at(list, i);
    return NULL;
}

/* "b3 mlp.down", or what the stage says that it does. */
static void place(const struct json *status, char *out, size_t size)
{
    int64_t block = -1;

    if (json_as_int(json_get(status, "block"), &block) == 0 && block >= 0)
        snprintf(out, size, "b%lld %.40s", (long long)block, text_of(status, "site"));
    else
        snprintf(out, size, "%.40s", text_of(status, "state"));
}

static void row(FILE *f, const struct json *p, const struct json *was)
{
    const struct json *status = json_get(p, "status"), *old = json_get(was, "status");
    double span = real_of(p, "seconds") - real_of(was, "seconds"), done = real_of(status, "done"),
           before = real_of(old, "done");
    char at[64], rate[48] = "", share[48] = "";

    place(status, at, sizeof at);
    if (status && done >= before && span > 0 && done > 0)
        snprintf(rate, sizeof rate, "%.1f %.16s/s", (done - before) / span,
                 text_of(status, "unit"));
    if (real_of(status, "total") > 0)
        snprintf(share, sizeof share, "%.0f/%.0f", done, real_of(status, "total"));
    fprintf(f, "%-12.12s %8.0f %-8.8s %5.0f%% %9.0f %8.0f  %-18.18s %11s %16s\n",
            text_of(p, "name"), real_of(p, "pid"), text_of(p, "state"),
            span > 0 ? 100 * (real_of(p, "cpu_s") - real_of(was, "cpu_s")) / span : 0,
            real_of(p, "rss_mib"), real_of(p, "seconds"), at, share, rate);
}

void ctl_table(FILE *f, const struct json *now, const struct json *before)
{
    const struct json *list = json_get(now, "processes");
    size_t left = 0;

    fprintf(f, "%s -> %s: %.0f of %.0f sites, %.0f%% of the work, %.0f s\n", text_of(now, "recipe"),
            text_of(now, "out"), real_of(now, "sites_done"), real_of(now, "sites"),
            100 * real_of(now, "share"), real_of(now, "seconds"));
    fprintf(f, "%-12s %8s %-8s %6s %9s %8s  %-18s %11s %16s\n", "process", "pid", "state", "CPU",
            "RSS MiB", "seconds", "at", "done", "rate");
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *p = json_at(list, i);

        if (strcmp(text_of(p, "state"), "ended") == 0)
            left++;
        else
            row(f, p, process_find(before, p));
    }
    if (left)
        fprintf(f, "and %zu that ended\n", left);
}
