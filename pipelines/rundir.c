/* SPDX-License-Identifier: Apache-2.0 */
/* rundir - made, and swept: a run that was killed leaves its folder, whose lock nobody holds. */
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../common/base/mem.h"

#define PREFIX "ptq-"
#define RANDOM "XXXXXX"
#define TRIES 100

const char *rundir_base(void)
{
    const char *base = getenv("XDG_RUNTIME_DIR");

    return base && *base && fs_is_dir(base) ? base : "/tmp";
}

/* Sockets only: logs of a run with --keep are worth reading. */
static void sockets_remove(const char *dir)
{
    char **names = NULL;
    size_t count = 0;

    if (fs_list(dir, &names, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        char *path = fs_join(dir, names[i], NULL);
        struct stat st;

        if (path && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
            unlink(path);
        free(path);
    }
    fs_names_free(&names, count);
}

/* The lock is kept while the folder goes, and goes last but the folder: who makes one sees both. */
static void sweep_one(const char *dir)
{
    char *lock = fs_join(dir, RUNDIR_LOCK, NULL);
    int fd = lock ? open(lock, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK) : -1;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0) {
        sockets_remove(dir);
        unlink(lock);
        rmdir(dir);
    }
    if (fd >= 0)
        close(fd);
    free(lock);
}

static void sweep(const char *base)
{
    char **names = NULL;
    size_t count = 0;

    if (fs_list(base, &names, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        char *dir = strlen(names[i]) == strlen(PREFIX RANDOM) &&
                            strncmp(names[i], PREFIX, strlen(PREFIX)) == 0
                        ? fs_join(base, names[i], NULL)
                        : NULL;

        if (dir)
            sweep_one(dir);
        free(dir);
    }
    fs_names_free(&names, count);
}

/* 0; 1: another run took the new folder for one left behind; -1. */
static int lock_make(struct rundir *d, struct err *e)
{
    char *path = fs_join(d->path, RUNDIR_LOCK, e);
    struct stat st;
    int rc = -1;

    if (!path)
        return -1;
    d->lock = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (d->lock < 0)
        rc = errno == ENOENT ? 1 : err_sys(e, "cannot make '%s'", path);
    else if ((rc = owner_take(d->lock, path, e)) == 0 && fstat(d->lock, &st) == 0)
        rc = st.st_nlink == 0;
    free(path);
    return rc;
}

int rundir_open(struct rundir *d, struct err *e)
{
    const char *base = rundir_base();
    int rc = 1;

    *d = (struct rundir){.lock = -1};
    sweep(base);
    for (int i = 0; rc == 1 && i < TRIES; i++) {
        rundir_close(d, 0);
        if (!(d->path = mem_printf(e, "%s/" PREFIX RANDOM, base)))
            return -1;
        if (!mkdtemp(d->path)) { /* mode 0700 */
            err_sys(e, "cannot make a folder for sockets as '%s'", d->path);
            free(d->path);
            d->path = NULL;
            return -1;
        }
        rc = lock_make(d, e);
    }
    if (rc == 0)
        return 0;
    rundir_close(d, 0);
    return rc < 0 ? -1 : err_set(e, ERR_SYS, "cannot make a folder for sockets in '%s'", base);
}

void rundir_close(struct rundir *d, int keep)
{
    char *lock = d->path ? fs_join(d->path, RUNDIR_LOCK, NULL) : NULL;

    if (lock && keep)
        unlink(lock);
    else if (d->path)
        fs_remove_tree(d->path, NULL);
    if (d->lock >= 0)
        close(d->lock);
    free(lock);
    free(d->path);
    *d = (struct rundir){.lock = -1};
}

int rundir_lives(const char *path, char who[OWNER_TEXT])
{
    char real[PATH_MAX], *slash;

    if (!realpath(path, real) || !(slash = strrchr(real, '/')) ||
        (size_t)(slash - real) + 1 + sizeof RUNDIR_LOCK > sizeof real)
        return 0;
    memcpy(slash + 1, RUNDIR_LOCK, sizeof RUNDIR_LOCK);
    return owner_lives(real, who);
}
