/* SPDX-License-Identifier: Apache-2.0 */
/* fault - see fault.h. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "rng.h"

#define FAULTS 16 /* of one kind of thing in a list */

enum kind { DIE = 32, DELAY = 64, SILENT = 128, ONCE = 256, SLOW = 512 }; /* beside FAULT_* */

static const struct {
    const char *name;
    unsigned kind;
} words[] = {{"die", DIE},         {"drop", FAULT_DROP}, {"twice", FAULT_TWICE},
             {"swap", FAULT_SWAP}, {"flip", FAULT_FLIP}, {"cut", FAULT_CUT},
             {"delay", DELAY},     {"silent", SILENT},   {"once", ONCE},
             {"slow", SLOW}};

struct faults {
    struct {
        unsigned kind;
        uint64_t at;
    } fault[FAULTS];
    size_t count;
    char once[512];
};

static struct faults now;
static atomic_uint_fast64_t went, passed; /* out; out and in */

static int word_read(struct faults *f, const char *word, size_t n, struct err *e)
{
    const char *colon = memchr(word, ':', n), *value = colon ? colon + 1 : "";
    const size_t left = colon ? n - (size_t)(value - word) : 0;
    unsigned kind = 0;
    struct stat st;
    char *end;

    for (size_t i = 0; colon && i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].name) == (size_t)(colon - word) &&
            strncmp(words[i].name, word, (size_t)(colon - word)) == 0)
            kind = words[i].kind;
    if (!kind)
        return err_set(e, ERR_USE,
                       "--fault: '%.*s' is no fault: say die:N, drop:N, twice:N, swap:N, "
                       "flip:N, cut:N, delay:MS, slow:MS, silent:MS or once:FILE",
                       (int)n, word);
    if (kind == ONCE) {
        if (!left || left >= sizeof f->once || *f->once)
            return err_set(e, ERR_USE, "--fault: once:FILE names one file");
        memcpy(f->once, value, left);
        if (stat(f->once, &st) == 0 && !S_ISREG(st.st_mode))
            return err_set(e, ERR_USE, "--fault: once:%s is there, and no file", f->once);
        return 0;
    }
    if (f->count == FAULTS)
        return err_set(e, ERR_USE, "--fault: more than %d faults", FAULTS);
    errno = 0;
    f->fault[f->count].kind = kind;
    f->fault[f->count].at = strtoull(value, &end, 10);
    if (errno || end != value + left || *value < '0' || *value > '9' || !f->fault[f->count].at)
        return err_set(e, ERR_USE, "--fault: '%.*s': a whole number from 1 must follow the colon",
                       (int)n, word);
    f->count++;
    return 0;
}

static int list_read(struct faults *f, const char *list, struct err *e)
{
    *f = (struct faults){0};
    for (size_t n; list; list = list[n] ? list + n + 1 : NULL) {
        n = strcspn(list, ",");
        if (word_read(f, list, n, e) < 0)
            return -1;
    }
    return 0;
}

int fault_check(const char *list, struct err *e)
{
    struct faults f;

    return list_read(&f, list, e);
}

int fault_init(const char *list, struct err *e)
{
    int fd;

    atomic_store(&went, 0);
    atomic_store(&passed, 0);
    if (list_read(&now, list, e) < 0)
        return -1;
    if (!*now.once)
        return 0;
    if ((fd = open(now.once, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) >= 0)
        return close(fd);
    if (errno != EEXIST)
        return err_sys(e, "--fault: cannot make '%s'", now.once);
    for (size_t i = 0; i < now.count; i++) /* how long it waits for peers is no event */
        if (now.fault[i].kind != SILENT)
            now.fault[i].at = 0;
    return 0;
}

void fault_die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static unsigned faults_at(unsigned kinds, uint64_t n)
{
    unsigned found = 0;

    for (size_t i = 0; i < now.count; i++)
        if (now.fault[i].at == n)
            found |= now.fault[i].kind & kinds;
    return found;
}

static void pass(void)
{
    if (faults_at(DIE, atomic_fetch_add(&passed, 1) + 1))
        fault_die();
}

static uint64_t value_of(enum kind kind)
{
    for (size_t i = 0; i < now.count; i++)
        if (now.fault[i].kind == (unsigned)kind)
            return now.fault[i].at;
    return 0;
}

static void rest(enum kind kind)
{
    const long ms = now.count ? (long)value_of(kind) : 0;
    const struct timespec wait = {ms / 1000, ms % 1000 * 1000000};

    if (ms)
        nanosleep(&wait, NULL);
}

unsigned fault_send(uint64_t *where)
{
    const uint64_t n = atomic_fetch_add(&went, 1) + 1;
    struct rng r;
    unsigned found;

    if (!now.count)
        return 0;
    pass();
    rest(DELAY);
    found = faults_at(FAULT_DROP | FAULT_TWICE | FAULT_SWAP | FAULT_FLIP | FAULT_CUT, n);
    rng_seed(&r, n, found);
    *where = rng_next(&r);
    if (found)
        log_warn("--fault: message %llu that goes out", (unsigned long long)n);
    return found;
}

void fault_receive(void)
{
    if (now.count)
        pass();
}

void fault_work(void)
{
    rest(SLOW);
}

double fault_silence(double otherwise)
{
    const uint64_t ms = value_of(SILENT);

    return ms ? (double)ms * 1e-3 : otherwise;
}
