/* SPDX-License-Identifier: Apache-2.0 */
/* watch - share of the work done, time left, one line about it.
 *
 * Flops of a site with K inputs, its linears N rows together, T tokens: forward 2 T N K, sums and
 * solve as their stages foresee them, the solve counted twice because fp64 runs at half the rate.
 * Attention is left out: it is small and the same in each block. */
#include "watch.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/base/clock.h"
#include "../common/base/log.h"
#include "../common/base/plural.h"
#include "../common/base/term.h"
#include "../stages/reduce/reduce_forecast.h"
#include "../stages/solve/solve_forecast.h"

#define PLAIN_SECONDS 10.0
#define NARROW 64 /* columns: a shorter line */
/* the part of a site's work that is done when its last chunk is forwarded, the solve being the
 * rest */
#define STREAMED 0.9
#define LEFT_SHARE 0.02 /* of the work: before, nobody knows how long it takes */

void watch_init(struct watch *w, const struct sites *s, uint64_t tokens)
{
    memset(w, 0, sizeof *w);
    for (size_t i = 0; i < WATCH_WORKERS; i++)
        w->worker[i].order = -1;
    w->tokens = tokens;
    w->began = w->said = clock_wall();
    w->live = isatty(2);
    w->sites = s;
}

void watch_again(struct watch *w, uint64_t committed)
{
    for (size_t i = 0; i < w->workers; i++)
        w->worker[i].order = -1;
    w->workers = 0;
    w->committed = committed;
    memset(&w->job, 0, sizeof w->job);
    *w->state = '\0';
}

void watch_pause(struct watch *w, int paused)
{
    const double now = clock_wall();

    if (!paused && w->paused > 0)
        w->began += now - w->paused;
    w->paused = paused ? now : 0;
}

double watch_spent(const struct watch *w)
{
    return (w->paused > 0 ? w->paused : clock_wall()) - w->began;
}

void watch_forget(struct watch *w, size_t i)
{
    if (i < w->workers)
        w->worker[i].order = -1;
}

static double site_cost(const struct watch *w, size_t order)
{
    const struct site *s = &w->sites->site[order];
    const double K = (double)s->inputs, T = (double)w->tokens;
    double N = 0;

    for (size_t i = 0; i < s->count; i++)
        N += (double)s->linear[i].rows;
    return 2 * T * N * K + reduce_forecast_flops(T, K, 0) + 2 * solve_forecast_flops(N, K);
}

static void worker_status(struct watch *w, size_t i, const struct json *j)
{
    const char *name = json_as_text(json_get(j, "site"));
    int64_t block = -1, done = 0, total = 0;
    const struct site *site;

    if (i >= WATCH_WORKERS || !name || !w->sites)
        return;
    if (json_as_int(json_get(j, "block"), &block) != 0 ||
        json_as_int(json_get(j, "done"), &done) != 0 ||
        json_as_int(json_get(j, "total"), &total) != 0 || block < 0 || done < 0 || total < done)
        return;
    if (!(site = sites_find(w->sites, (size_t)block, name)))
        return;
    if (i >= w->workers)
        w->workers = i + 1;
    w->worker[i].order = (int64_t)site->order;
    w->worker[i].done = (uint64_t)done;
    w->worker[i].total = (uint64_t)total;
}

static void job_status(struct watch *w, const struct json *j)
{
    const char *note = json_as_text(json_get(j, "note"));
    int64_t done, total;

    if (!note || json_as_int(json_get(j, "done"), &done) != 0 ||
        json_as_int(json_get(j, "total"), &total) != 0 || done < 0 || total < done || total == 0)
        return;
    if (!w->job.total) {
        w->job.from = (uint64_t)done;
        w->job.at = watch_spent(w);
    }
    w->job.done = (uint64_t)done;
    w->job.total = (uint64_t)total;
    snprintf(w->job.note, sizeof w->job.note, "%s", note);
}

void watch_status(struct watch *w, size_t i, const struct json *j)
{
    const char *stage = json_as_text(json_get(j, "stage"));
    const char *state = json_as_text(json_get(j, "state"));
    const char *unit = json_as_text(json_get(j, "unit"));
    int64_t done = 0;

    if (stage && state)
        snprintf(w->state, sizeof w->state, "%s: %s", stage, state);
    if (stage && strcmp(stage, "forward") == 0)
        worker_status(w, i, j);
    job_status(w, j);
    if (stage && unit && strcmp(stage, "write") == 0 && strcmp(unit, "sites") == 0 &&
        json_as_int(json_get(j, "done"), &done) == 0 && done > 0)
        w->committed = (uint64_t)done;
}

/* Share of the first site not committed that the workers have forwarded. */
static double share_of_site(const struct watch *w)
{
    uint64_t done = 0, total = 0;

    for (size_t i = 0; i < w->workers; i++) {
        if (w->worker[i].order < 0)
            continue;
        total += w->worker[i].total;
        if (w->worker[i].order == (int64_t)w->committed)
            done += w->worker[i].done;
    }
    return total ? (double)done / (double)total : 0;
}

double watch_share(const struct watch *w)
{
    double all = 0, done = 0;

    if (w->job.total)
        return (double)w->job.done / (double)w->job.total;
    for (size_t i = 0; w->sites && i < w->sites->count; i++) {
        const double cost = site_cost(w, i);

        all += cost;
        if (i < w->committed)
            done += cost;
        else if (i == w->committed)
            done += STREAMED * share_of_site(w) * cost;
    }
    return all > 0 ? done / all : 0;
}

static void time_text(double s, char *out, size_t size)
{
    long t = s < 1e7 ? (long)(s + 0.5) : 9999999;

    if (t >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    else
        snprintf(out, size, "%ld:%02ld", t / 60, t % 60);
}

double watch_left(const struct watch *w)
{
    const double share = watch_share(w);
    const uint64_t done = w->job.done - w->job.from;

    if (w->job.total)
        return done ? (watch_spent(w) - w->job.at) * (double)(w->job.total - w->job.done) /
                          (double)done
                    : NAN;
    return share > LEFT_SHARE ? watch_spent(w) * (1 - share) / share : NAN;
}

/* The first that is not committed; NULL: none, or not known. */
static const struct site *site_at_work(const struct watch *w)
{
    return w->sites && w->committed < w->sites->count ? &w->sites->site[w->committed] : NULL;
}

/* Kept problems are solved again: no tokens flow. */
static void describe_problems(const struct watch *w, double share, const char *left, char *out,
                              size_t size)
{
    const struct site *s = site_at_work(w);

    snprintf(out, size, "%llu of %zu problem%s solved, at b%zu.%s, %.0f%%, ETA %s",
             (unsigned long long)w->committed, w->sites->count, plural_s(w->sites->count), s->block,
             s->name, 100 * share, left);
}

static void describe(const struct watch *w, size_t columns, char *out, size_t size)
{
    double spent = watch_spent(w), share = watch_share(w);
    const struct site *s = site_at_work(w);
    char left[32] = "-";

    if (!w->sites) {
        snprintf(out, size, "%s", *w->state ? w->state : "starting");
        return;
    }
    if (w->workers == 0 && w->committed == 0 && !w->job.total) {
        snprintf(out, size, "reading the model and the %s", w->tokens ? "text" : "problems");
        return;
    }
    if (!s) {
        snprintf(out, size, "all %zu block%s done, writing the checkpoint", w->sites->blocks,
                 plural_s(w->sites->blocks));
        return;
    }
    if (!isnan(watch_left(w)))
        time_text(watch_left(w), left, sizeof left);
    if (w->job.total)
        snprintf(out, size, "%s, %.0f%%, ETA %s", w->job.note, 100 * share, left);
    else if (!w->tokens)
        describe_problems(w, share, left, out, size);
    else if (columns && columns < NARROW)
        snprintf(out, size, "block %zu/%zu %s, %.0f%%, ETA %s", s->block + 1, w->sites->blocks,
                 s->name, 100 * share, left);
    else
        snprintf(out, size, "block %zu/%zu %s, %.0f%%, %.0f tokens/s, ETA %s", s->block + 1,
                 w->sites->blocks, s->name, 100 * share,
                 share * (double)w->tokens / (spent > 0 ? spent : 1), left);
}

void watch_draw(struct watch *w)
{
    double now = clock_wall();
    const struct site *s = site_at_work(w);
    const uint64_t block = s ? s->block : UINT64_MAX;
    const size_t columns = w->live ? term_columns(2) : 0;
    char line[256] = "ptq: ";

    if (!w->live && now - w->said < PLAIN_SECONDS && block == w->said_block)
        return;
    if (w->paused > 0)
        strcat(line, "paused, ");
    describe(w, columns, line + strlen(line), sizeof line - strlen(line));
    w->said = now;
    w->said_block = block;
    if (!w->live) {
        log_info("%s", line + 5);
        return;
    }
    term_clip(line, columns);
    if (dprintf(2, "\r\033[K%s", line) < 0)
        return;
    w->drawn = 1;
}

void watch_clear(struct watch *w)
{
    if (w->drawn && dprintf(2, "\r\033[K") < 0)
        return;
    w->drawn = 0;
}
