/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot - see snapshot.h. */
#include "snapshot.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/base/clock.h"
#include "hold.h"
#include "hosts.h"

/* CPU seconds and resident MiB of a process that runs. */
static void measure(pid_t pid, double *cpu, double *rss)
{
    char path[64], text[1024], *at;
    unsigned long user, system;
    long pages;
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!(f = fopen(path, "re")))
        return;
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    if (!(at = strrchr(text, ')')) || sscanf(at + 1,
                                             " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu "
                                             "%*d %*d %*d %*d %*d %*d %*u %*u %ld",
                                             &user, &system, &pages) != 3)
        return;
    *cpu = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    *rss = (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static struct json *command_of(const struct launch_process *p)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < p->argc; i++)
        if (json_push(list, json_new_text(p->argv[i])) != 0)
            json_destroy(&list);
    return list;
}

static struct json *process_of(const struct supervise *s, size_t i)
{
    const struct child *c = &s->child[i];
    struct json *j = json_new_object(),
                *said = *c->status_text
                            ? json_parse(c->status_text, strlen(c->status_text), "status", NULL)
                            : NULL;
    double cpu = 0, rss = 0;
    int bad;

    if (c->pid > 0 && !c->exited)
        measure(c->pid, &cpu, &rss);
    bad = json_set_text(j, "name", c->plan->label) ||
          json_set_text(j, "stage", s->recipe->stage[c->plan->stage].name) ||
          json_set_int(j, "pid", c->pid) ||
          json_set_text(j, "state",
                        c->exited    ? "ended"
                        : c->leaving ? "leaving"
                        : c->joined  ? "at work"
                                     : "starting") ||
          json_set_real(j, "seconds",
                        c->pid ? (c->exited ? c->ended : clock_wall()) - c->started : 0) ||
          json_set_real(j, "cpu_s", cpu) || json_set_real(j, "rss_mib", rss) ||
          json_set(j, "command", command_of(c->plan));
    if (*c->lanes)
        bad = json_set_text(j, "lanes", c->lanes) || bad;
    if (said)
        bad = json_set(j, "status", said) || bad;
    if (c->exited)
        bad = json_set_int(j, "code", c->code) || bad;
    if (bad)
        json_destroy(&j);
    return j;
}

struct json *snapshot_make(const struct supervise *s)
{
    struct json *j = json_new_object(), *list = json_new_array();

    for (size_t i = 0; i < s->plan->count; i++)
        if (!s->child[i].past && json_push(list, process_of(s, i)) != 0)
            json_destroy(&list);
    if (json_set_bool(j, "ok", 1) || json_set_text(j, "run", s->run_dir) ||
        json_set_text(j, "recipe", s->recipe->path) ||
        json_set_text(j, "out", s->out ? s->out : "") ||
        json_set_real(j, "seconds", watch_spent(&s->watch)) ||
        json_set_real(j, "paused_s", hold_seconds(s)) ||
        json_set_int(j, "sites_done", (int64_t)s->watch.committed) ||
        json_set_int(j, "sites", (int64_t)(s->watch.sites ? s->watch.sites->count : 0)) ||
        json_set_real(j, "share", watch_share(&s->watch)) ||
        json_set_real(j, "eta_s", watch_left(&s->watch)) ||
        json_set_int(j, "restarts", (int64_t)s->restarted) || json_set(j, "processes", list) ||
        (s->hosts && json_set(j, "hosts", hosts_list(s->hosts))))
        json_destroy(&j);
    return j;
}
