/* SPDX-License-Identifier: Apache-2.0 */
/* status - progress for a supervisor (JSON lines) or for a person (one line on a terminal). The
 * supervisor's descriptor is made non-blocking, and a line goes out whole or not at all: lines
 * are shorter than PIPE_BUF, so a pipe takes them in one piece. */
#include "status.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "term.h"

#define INTERVAL 0.1
#define ALIVE_SECONDS 0.25
#define PLAIN_SECONDS 10.0 /* between two lines where no terminal is */

static struct {
    char stage[32];
    int fd;   /* -1: none */
    int live; /* a line on the terminal */
    int drawn;
    double start;       /* of the program */
    double last, began; /* last update; when the counted work began */
    uint64_t total;     /* of the counted work */
    int64_t block;      /* with done, as they were said last */
    uint64_t done;
    int paused;
    uint64_t tokens;
    char state[32], site[64], unit[16];
    char note[128];          /* of status_job; "" of the others */
    double job_at, job_from; /* when the first share was said, and that; 0 and 0 before */
    int owned;
    pthread_t owner; /* thread of status_init */
    double alive;    /* when that was last said */
    struct {
        char whom[STATUS_WHOM];
        double seconds;
    } wait[STATUS_WAITS];
    size_t waits;
} now = {.fd = -1};
static atomic_ullong work, received, went;
static atomic_llong queued;

void status_init(const char *stage, int fd)
{
    memset(&now, 0, sizeof now);
    snprintf(now.stage, sizeof now.stage, "%s", stage);
    now.fd = fd;
    now.live = fd < 0 && isatty(2);
    now.last = -1;
    now.block = -1;
    now.start = clock_wall();
    now.owned = 1;
    now.owner = pthread_self();
    if (fd >= 0) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
            now.fd = -1;
    }
}

/* Copies text that is safe inside JSON quotes as it is: names of states, sites and units are
 * plain words. */
static void copy_plain(char *dst, size_t room, const char *src)
{
    size_t n = 0;

    for (; src && *src && n + 1 < room; src++)
        if (*src != '"' && *src != '\\' && (unsigned char)*src >= ' ' && (unsigned char)*src < 127)
            dst[n++] = *src;
    dst[n] = 0;
}

static void put_json(int64_t block, uint64_t done, uint64_t total)
{
    char line[512];
    int n = snprintf(line, sizeof line,
                     "{\"stage\":\"%s\",\"state\":\"%s\",\"block\":%lld,\"site\":\"%s\",\"done\":%"
                     "llu,\"total\":%llu,"
                     "\"unit\":\"%s\",\"tokens\":%llu,\"received\":%llu,\"sent\":%llu,"
                     "\"queue\":%lld%s%s%s%s}\n",
                     now.stage, now.state, (long long)block, now.site, (unsigned long long)done,
                     (unsigned long long)total, now.unit, (unsigned long long)now.tokens,
                     atomic_load(&received), atomic_load(&went), atomic_load(&queued),
                     now.paused ? ",\"paused\":true" : "", *now.note ? ",\"note\":\"" : "",
                     now.note, *now.note ? "\"" : "");

    now.block = block;
    now.done = done;

    if (n > 0 && (size_t)n < sizeof line && write(now.fd, line, (size_t)n) < 0)
        return; /* full or gone: the next update says more anyway */
}

static void left_text(double s, char *out, size_t size)
{
    if (s > 1e6)
        s = 1e6;
    if (s >= 3600)
        snprintf(out, size, ", %d h %02d min left", (int)s / 3600, (int)s / 60 % 60);
    else if (s >= 60)
        snprintf(out, size, ", %d min %02d s left", (int)s / 60, (int)s % 60);
    else
        snprintf(out, size, ", %.0f s left", s);
}

static void draw(char *line)
{
    term_clip(line, term_columns(2));
    if (dprintf(2, "\r\033[K%s", line) >= 0)
        now.drawn = 1;
}

static void put_live(int64_t block, uint64_t done, uint64_t total, double t)
{
    char line[256], where[96] = "", left[48] = "";
    double spent = t - now.began, rate = spent > 0.5 ? (double)done / spent : 0;
    int n;

    if (block >= 0)
        snprintf(where, sizeof where, " block %lld%s%s", (long long)block, now.site[0] ? " " : "",
                 now.site);
    if (rate > 0 && total > done)
        left_text((double)(total - done) / rate, left, sizeof left);
    n = snprintf(line, sizeof line, "%s: %s%s", now.stage, now.state, where);
    if (n > 0 && total)
        snprintf(line + n, sizeof line - (size_t)n, " %.0f%% (%llu of %llu %s, %.3g/s%s)",
                 100 * (double)done / (double)total, (unsigned long long)done,
                 (unsigned long long)total, now.unit, rate, left);
    draw(line);
}

void status_update(const char *state, int64_t block, const char *site, uint64_t done,
                   uint64_t total, const char *unit)
{
    char clean[sizeof now.state];
    double t;
    int fresh;

    status_alive();
    if (now.fd < 0 && !now.live)
        return;
    t = clock_wall();
    copy_plain(clean, sizeof clean, state);
    fresh = strcmp(now.state, clean) != 0 || now.last < 0;
    if (fresh || done == 0 || now.total != total)
        now.began = t;
    now.total = total;
    if (!fresh && t - now.last < INTERVAL && (done < total || !total))
        return;
    now.last = t;
    memcpy(now.state, clean, sizeof clean);
    *now.note = '\0';
    copy_plain(now.site, sizeof now.site, site);
    copy_plain(now.unit, sizeof now.unit, unit);
    if (now.fd >= 0)
        put_json(block, done, total);
    else
        put_live(block, done, total, t);
}

void status_tokens(uint64_t tokens_forwarded)
{
    now.tokens = tokens_forwarded;
}

void status_received(uint64_t bytes)
{
    atomic_fetch_add_explicit(&received, bytes, memory_order_relaxed);
}

void status_sent(uint64_t bytes)
{
    atomic_fetch_add_explicit(&went, bytes, memory_order_relaxed);
}

void status_queue(int64_t change)
{
    atomic_fetch_add_explicit(&queued, change, memory_order_relaxed);
}

void status_paused(int paused)
{
    now.paused = paused;
    if (now.fd >= 0)
        put_json(now.block, now.done, now.total);
}

int status_due(void)
{
    const int plain = now.fd < 0 && !now.live;
    const double last = plain && now.last < 0 ? now.start : now.last;

    return clock_wall() - last >= (plain ? PLAIN_SECONDS : INTERVAL);
}

void status_job(const char *state, double share, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    char text[256], counted[80] = "", left[48] = "", line[320];
    const double t = clock_wall();
    double spent;

    status_alive();
    if (!(now.job_at > 0)) {
        now.job_at = t;
        now.job_from = share;
    }
    spent = t - now.job_at;
    if (!status_due())
        return;
    now.last = t;
    now.total = total;
    copy_plain(now.state, sizeof now.state, state);
    copy_plain(now.unit, sizeof now.unit, unit);
    copy_plain(now.note, sizeof now.note, note);
    if (now.fd >= 0) {
        put_json(-1, done, total);
        return;
    }
    if (share > now.job_from + 0.01 && share < 1 && spent > 0.5)
        left_text(spent * (1 - share) / (share - now.job_from), left, sizeof left);
    if (done) /* before, it would only say that the share comes from elsewhere */
        snprintf(counted, sizeof counted, ", %llu of %llu %s", (unsigned long long)done,
                 (unsigned long long)total, now.unit);
    snprintf(text, sizeof text, "%.0f%%%s%s%s%s", 100 * share, counted, *note ? ", " : "", note,
             left);
    if (!now.live) {
        log_info("%s", text);
        return;
    }
    snprintf(line, sizeof line, "%s: %s", now.stage, text);
    draw(line);
}

/* {"stage", what, "at"} */
static void say_place(const char *what, const char *text, const char *address)
{
    char line[700], copy[256], where[256];
    int n;

    if (now.fd < 0)
        return;
    copy_plain(copy, sizeof copy, text);
    copy_plain(where, sizeof where, address);
    n = snprintf(line, sizeof line, "{\"stage\":\"%s\",\"%s\":\"%s\",\"at\":\"%s\"}\n", now.stage,
                 what, copy, where);
    if (n > 0 && (size_t)n < sizeof line && write(now.fd, line, (size_t)n) < 0)
        return; /* full or gone */
}

void status_hello(const char *instance, const char *address)
{
    say_place("hello", instance, address);
}

void status_lost(const char *instance, const char *lease)
{
    say_place("lost", instance, lease);
}

void status_lanes(const char *lanes)
{
    say_place("lanes", lanes, "");
}

void status_bound(const char *here, const char *address)
{
    say_place("bound", here, address);
}

static int others(void)
{
    return now.owned && !pthread_equal(now.owner, pthread_self());
}

static void say_alive(void)
{
    char line[STATUS_WAITS * (STATUS_WHOM + 32) + 80];
    int n = snprintf(line, sizeof line, "{\"stage\":\"%s\",\"alive\":true,\"waited\":{", now.stage);

    for (size_t i = 0; i < now.waits && n > 0 && (size_t)n < sizeof line; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, "%s\"%s\":%.3f", i ? "," : "",
                      now.wait[i].whom, now.wait[i].seconds);
    if (n > 0 && (size_t)n < sizeof line)
        n += snprintf(line + n, sizeof line - (size_t)n, "}}\n");
    if (n > 0 && (size_t)n < sizeof line && write(now.fd, line, (size_t)n) < 0)
        return; /* full or gone */
}

void status_alive(void)
{
    double t;

    if (others())
        return;
    atomic_fetch_add_explicit(&work, 1, memory_order_relaxed);
    if (now.fd < 0 || (t = clock_wall()) - now.alive < ALIVE_SECONDS)
        return;
    now.alive = t;
    say_alive();
}

void status_waited(const char *whom, double seconds)
{
    char clean[STATUS_WHOM];
    size_t i = 0;

    if (now.fd < 0 || others())
        return;
    copy_plain(clean, sizeof clean, whom);
    while (i < now.waits && strcmp(now.wait[i].whom, clean) != 0)
        i++;
    if (i == STATUS_WAITS)
        i--;
    else if (i == now.waits)
        memcpy(now.wait[now.waits++].whom, clean, sizeof clean);
    now.wait[i].seconds += seconds;
}

uint64_t status_work(void)
{
    return atomic_load_explicit(&work, memory_order_relaxed);
}

int status_watched(void)
{
    return now.fd >= 0;
}

void status_end(void)
{
    if (now.fd >= 0 && now.waits && !others())
        say_alive();
    if (now.drawn && write(2, "\r\033[K", 4) < 0)
        return;
    now.drawn = 0;
}
