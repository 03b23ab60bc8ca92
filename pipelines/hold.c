/* SPDX-License-Identifier: Apache-2.0 */
/* hold - see hold.h. */
#include "hold.h"

#include <stdio.h>
#include <string.h>

#include "../common/base/clock.h"
#include "../common/base/log.h"
#include "../common/base/pause.h"
#include "../common/base/plural.h"
#include "specs.h"

int hold_concerns(const struct child *c)
{
    const struct stage_spec *spec =
        c->plan && c->plan->ours && c->pid > 0 && !c->exited ? specs_find(c->plan->argv[0]) : NULL;

    return spec && (spec->shared & STAGE_PAUSES);
}

void hold_tell(struct child *c, int rest)
{
    if (c->rests != rest && hold_concerns(c) && pause_tell(c->pid, rest) == 0)
        c->rests = rest;
}

double hold_seconds(const struct supervise *s)
{
    return s->watch.paused > 0 ? clock_wall() - s->watch.paused : 0;
}

void hold_tick(struct supervise *s)
{
    for (size_t i = 0; i < s->plan->count; i++)
        hold_tell(&s->child[i], s->watch.paused > 0);
}

static void pause_begin(struct supervise *s, char *text, size_t size)
{
    size_t n = 0;

    if (s->watch.paused > 0) {
        snprintf(text, size, "it has been paused for %.0f s", hold_seconds(s));
        return;
    }
    watch_pause(&s->watch, 1);
    hold_tick(s);
    for (size_t i = 0; i < s->plan->count; i++)
        n += (size_t)hold_concerns(&s->child[i]);
    snprintf(text, size, "paused: %zu process%s rest%s behind what is in hand; ptq ctl resume", n,
             plural_word(n, "", "es"), plural_word(n, "s", ""));
    watch_clear(&s->watch);
    log_info("paused, until ptq ctl resume");
}

static void pause_end(struct supervise *s, char *text, size_t size)
{
    if (s->watch.paused <= 0) {
        snprintf(text, size, "it was not paused");
        return;
    }
    snprintf(text, size, "goes on after a pause of %.0f s", hold_seconds(s));
    watch_pause(&s->watch, 0);
    hold_tick(s);
    watch_clear(&s->watch);
    log_info("%s", text);
}

int hold_request(struct supervise *s, uint64_t client, const char *cmd)
{
    const int pause = strcmp(cmd, "pause") == 0;
    char text[160];

    if (!pause && strcmp(cmd, "resume") != 0)
        return 0;
    if (pause)
        pause_begin(s, text, sizeof text);
    else
        pause_end(s, text, sizeof text);
    control_grant(s->control, client, text);
    return 1;
}
