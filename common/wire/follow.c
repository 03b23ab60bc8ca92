/* SPDX-License-Identifier: Apache-2.0 */
/* follow - waits for part files with inotify; each wake-up looks at the folder itself, so a
 * lost, merged or foreign event costs nothing. A writer that dies sends no event that could be
 * relied on (and network file systems send none at all): the same look is repeated twice a
 * second while waiting. What it leaves out: reading parts of a run that has ended (ptq-inspect
 * does that). */
#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/fs.h"
#include "../base/mem.h"
#include "../base/sig.h"
#include "../base/status.h"
#include "frame.h"

#define LOOK_MS 500
#define REASON_MAX 4096

enum writer { WRITER_ABSENT, WRITER_ALIVE, WRITER_GONE };

/* Tells one `failed` file from another. */
struct mark {
    int there;
    dev_t dev;
    ino_t ino;
    struct timespec time;
};

struct follow {
    char *out, *parts, *lock, *failed, *done;
    int watch;       /* inotify */
    int seen;        /* the writer was alive once */
    double first;    /* clock of the first follow_next, 0 before */
    struct mark old; /* the failed marker that was there at open: an earlier run's */
};

void follow_part_name(uint64_t order, char out[32])
{
    snprintf(out, 32, "%05llu.ptq", (unsigned long long)order);
}

static void mark_read(const char *path, struct mark *m)
{
    struct stat st;

    memset(m, 0, sizeof *m);
    if (stat(path, &st) == 0)
        *m = (struct mark){1, st.st_dev, st.st_ino, st.st_mtim};
}

static int mark_equal(const struct mark *a, const struct mark *b)
{
    return a->there == b->there && a->dev == b->dev && a->ino == b->ino &&
           a->time.tv_sec == b->time.tv_sec && a->time.tv_nsec == b->time.tv_nsec;
}

struct follow *follow_open(const char *out_dir, struct err *e)
{
    struct follow *f = mem_array(1, sizeof *f, e);

    if (!f)
        return NULL;
    f->watch = -1;
    if (!(f->out = mem_text(out_dir, e)) || !(f->parts = fs_join(out_dir, FOLLOW_PARTS, e)) ||
        !(f->lock = fs_join(out_dir, FOLLOW_LOCK, e)) ||
        !(f->failed = fs_join(out_dir, FOLLOW_FAILED, e)) ||
        !(f->done = fs_join(out_dir, FOLLOW_DONE, e)))
        goto fail;
    if ((f->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) < 0) {
        err_sys(e, "cannot watch '%s'", out_dir);
        goto fail;
    }
    mark_read(f->failed, &f->old);
    return f;
fail:
    follow_close(&f);
    return NULL;
}

/* Opened for reading only: closing it then looks different from the writer's own close, and a
 * follower never needs more rights than that. */
static int writer_state(const struct follow *f, enum writer *state, struct err *e)
{
    int fd = open(f->lock, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        *state = WRITER_ABSENT;
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, "cannot open '%s'", f->lock);
    }
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        *state = WRITER_GONE;
    else if (errno == EWOULDBLOCK)
        *state = WRITER_ALIVE;
    else {
        err_sys(e, "cannot test the lock '%s'", f->lock);
        close(fd);
        return -1;
    }
    close(fd);
    return 0;
}

/* 1 read, 0 not there, -1 */
static int part_read(const struct follow *f, uint64_t order, struct msg **m, struct err *e)
{
    const struct frame_limits limits = FRAME_LIMITS_DEFAULT;
    char name[32], *path;
    int64_t number;
    int fd, got = -1;

    follow_part_name(order, name);
    if (!(path = fs_join(f->parts, name, e)))
        return -1;
    if (fs_check_regular(path, e) < 0)
        goto out;
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
        got = errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, "cannot open '%s'", path);
        goto out;
    }
    got = frame_read(fd, m, &limits, path, NULL, e);
    if (got == 0)
        got = err_set(e, ERR_USE, "'%s' is empty", path);
    if (got == 1 &&
        ((*m)->kind != MSG_COMMIT || json_as_int(json_get((*m)->meta, "order"), &number) ||
         (uint64_t)number != order)) {
        msg_destroy(m);
        got = err_set(e, ERR_USE, "'%s' is not the commit of site number %llu", path,
                      (unsigned long long)order);
    }
    close(fd);
out:
    free(path);
    return got;
}

static int writer_failed(const struct follow *f, struct err *e)
{
    size_t n;
    char *why = fs_read(f->failed, REASON_MAX, &n, NULL);

    if (!why)
        return err_set(e, ERR_DATA, "the writer of '%s' failed", f->out);
    why[strcspn(why, "\n")] = '\0';
    err_set(e, ERR_DATA, "the writer of '%s' failed: %s", f->out, why);
    free(why);
    return -1;
}

/* One look: 1 part, 0 ended well, 2 not yet, -1. The part comes before the writer's end, which
 * may follow right after it. */
static int look(struct follow *f, uint64_t order, struct msg **m, struct err *e)
{
    enum writer state;
    struct mark failed;
    int got;

    if (writer_state(f, &state, e))
        return -1;
    if (state == WRITER_ALIVE)
        f->seen = 1;
    if (f->seen && (got = part_read(f, order, m, e)) != 0)
        return got;
    if (state == WRITER_ALIVE)
        return 2;
    mark_read(f->failed, &failed);
    if (failed.there && !mark_equal(&failed, &f->old))
        return writer_failed(f, e);
    if (f->seen && fs_exists(f->done))
        return 0;
    if (f->seen)
        return err_set(e, ERR_DATA,
                       "the writer of '%s' is gone, without the commit of site number %llu", f->out,
                       (unsigned long long)order);
    if (clock_wall() - f->first > FOLLOW_START_S)
        return err_set(e, ERR_DATA,
                       "no writer has come to '%s' within %d s: start ptq-write on it "
                       "first, or at the same time",
                       f->out, FOLLOW_START_S);
    return 2;
}

/* Watches the deepest folder on the way to parts/ that is there, and the one above parts/ for
 * lock and marks. Adding a watch again is harmless. */
static int watch_add(struct follow *f, struct err *e)
{
    const uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF;
    char *path = mem_text(f->parts, e), *slash;
    int ok;

    if (!path)
        return -1;
    ok = inotify_add_watch(f->watch, path, mask) >= 0;
    while ((slash = strrchr(path, '/'))) {
        int first = strlen(path) == strlen(f->parts);

        slash[slash == path] = '\0';
        if (!ok || first)
            ok = inotify_add_watch(f->watch, path, mask) >= 0;
        if (ok || strcmp(path, "/") == 0)
            break;
    }
    if (!ok)
        ok = inotify_add_watch(f->watch, ".", mask) >= 0;
    free(path);
    return ok ? 0 : err_sys(e, "cannot watch the way to '%s'", f->parts);
}

static void events_drop(int fd)
{
    char buffer[4096];

    while (read(fd, buffer, sizeof buffer) > 0)
        continue;
}

int follow_next(struct follow *f, uint64_t order, struct msg **m, int timeout_ms, struct err *e)
{
    double end = clock_wall() + timeout_ms / 1e3;

    *m = NULL;
    if (f->first == 0)
        f->first = clock_wall();
    for (;;) {
        struct pollfd p[2] = {{f->watch, POLLIN, 0}, {sig_fd(), POLLIN, 0}};
        double left = timeout_ms < 0 ? LOOK_MS : (end - clock_wall()) * 1e3;
        int got;

        /* The watch first, the look second: what comes in between wakes the poll. */
        status_alive();
        events_drop(f->watch);
        if (watch_add(f, e))
            return -1;
        if ((got = look(f, order, m, e)) != 2)
            return got;
        if (left <= 0 || sig_draining())
            return 2;
        if (poll(p, 2, left < LOOK_MS ? (int)left + 1 : LOOK_MS) < 0 && errno != EINTR)
            return err_sys(e, "cannot wait for '%s'", f->parts);
    }
}

void follow_close(struct follow **f)
{
    int saved = errno;

    if (!f || !*f)
        return;
    if ((*f)->watch >= 0)
        close((*f)->watch);
    free((*f)->out);
    free((*f)->parts);
    free((*f)->lock);
    free((*f)->failed);
    free((*f)->done);
    free(*f);
    *f = NULL;
    errno = saved;
}
