/* SPDX-License-Identifier: Apache-2.0 */
/* stall - see stall.h. */
#include "stall.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/base/log.h"
#include "needless.h"

#define GAP_S 5.0   /* we ourselves stood still: nobody else is to blame */
#define BUSY 0.1    /* of a core: it computes */
#define LEFT_S 30.0 /* until one that says nothing is ended, when nobody waits for its work */

/* CPU seconds of a process so far; -1: not known. */
static double cpu_of(pid_t pid)
{
    unsigned long user, system;
    char path[64], text[1024], *end;
    size_t n = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if ((f = fopen(path, "re"))) {
        n = fread(text, 1, sizeof text - 1, f);
        fclose(f);
    }
    text[n] = '\0';
    end = strrchr(text, ')'); /* of the name, which may hold anything */
    if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                       &system) != 2)
        return -1;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

void stall_over(struct child *c, double now)
{
    if (c->stall_next > 0)
        log_info("%s goes on after %.0f s", c->plan->label, now - c->alive);
    c->alive = now;
    c->stall_next = 0;
    c->stall_cpu = -1;
}

void stall_text(const struct child *c, double now, double cpu, char *out, size_t size)
{
    const double silent = now - c->alive;
    const time_t since = time(NULL) - (time_t)silent;
    char clock[16] = "?";
    struct tm tm;

    if (localtime_r(&since, &tm))
        strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    snprintf(out, size,
             "%s (process %ld) has made no progress since %s, %.0f s ago%s; should it not go on: "
             "kill -9 %ld%s",
             c->plan->label, (long)c->pid, clock, silent,
             cpu < 0                   ? ""
             : cpu > BUSY * silent / 2 ? ": it computes, at one long step or for ever"
                                       : ": it stands still",
             (long)c->pid,
             c->plan->elastic ? ", and another takes its place"
                              : ", and another takes its place, or the stages begin again behind "
                                "the last commit");
}

static void look(struct child *c, double stall, double now)
{
    const double silent = now - c->alive, cpu = silent > stall / 2 ? cpu_of(c->pid) : -1;
    char text[512];

    if (silent > stall / 2 && c->stall_cpu < 0)
        c->stall_cpu = cpu;
    if (silent <= stall || now < c->stall_next)
        return;
    stall_text(c, now, cpu < 0 || c->stall_cpu < 0 ? -1 : cpu - c->stall_cpu, text, sizeof text);
    log_warn("%s", text);
    c->stall_next = now + silent;
    c->stall_cpu = -1;
}

/* The checkpoint has all that it would make, and the run waits for it alone. */
static int is_left(const struct supervise *s, const struct child *c, double now)
{
    return now - c->alive > LEFT_S && needless_feeds(c->plan) && needless_delivered(s);
}

static void end_left(struct child *c, double now)
{
    log_warn("%s (process %ld) has said nothing for %.0f s, and the writer has all of its work: it "
             "is ended",
             c->plan->label, (long)c->pid, now - c->alive);
    child_signal(c, SIGKILL);
    c->alive = now;
}

void stall_tick(struct supervise *s, double now)
{
    const double gap = s->looked > 0 ? now - s->looked : 0;

    s->looked = now;
    for (size_t i = 0; i < s->plan->count; i++) {
        struct child *c = &s->child[i];

        if (c->pid <= 0 || c->exited || !c->plan->ours)
            continue;
        if (gap > GAP_S)
            c->alive += gap;
        else if (is_left(s, c, now))
            end_left(c, now);
        else if (now - c->alive > s->stall / 2)
            look(c, s->stall, now);
    }
}
