/* SPDX-License-Identifier: Apache-2.0 */
/* newdir - an output folder that appears whole or not at all. */
#include "newdir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/mem.h"

#define TRIES 100

int newdir_check(const char *dir, struct err *e)
{
    int empty = 0;

    if (fs_check_dash(dir, e) < 0)
        return -1;
    if (!fs_exists(dir))
        return fs_is_named(dir)
                   ? err_set(e, ERR_USE, "'%s' is a link to nothing: remove it, or name another",
                             dir)
                   : 0;
    if (!fs_is_dir(dir))
        return err_set(e, ERR_USE, "'%s' is there and is not a folder", dir);
    if (fs_empty_dir(dir, &empty, e))
        return -1;
    return empty ? 0
                 : err_set(e, ERR_USE,
                           "folder '%s' is not empty; name another one, or remove it first", dir);
}

/* A name beside dir that nothing has. */
static char *part_name(const char *dir, struct err *e)
{
    size_t n = strlen(dir);
    struct stat st;
    char *name;

    while (n > 1 && dir[n - 1] == '/')
        n--;
    for (int i = 0; i < TRIES; i++) {
        name = mem_printf(e, "%.*s.part-%ld-%d", (int)n, dir, (long)getpid(), i);
        if (!name || lstat(name, &st) != 0)
            return name;
        free(name);
    }
    err_set(e, ERR_SYS, "'%s': too many unfinished folders lie beside it", dir);
    return NULL;
}

/* A link to a folder stays one: what it leads to is replaced. */
static char *target_name(const char *dir, struct err *e)
{
    char *real = realpath(dir, NULL);

    return real ? real : mem_text(dir, e);
}

int newdir_begin(struct newdir *d, const char *dir, struct err *e)
{
    char *part, *whole;

    memset(d, 0, sizeof *d);
    if (newdir_check(dir, e) || !(whole = target_name(dir, e)))
        return -1;
    if (!(part = part_name(whole, e)) || fs_mkdir(part, e)) {
        free(part);
        free(whole);
        return -1;
    }
    d->part = part;
    d->dir = whole;
    return 0;
}

int newdir_publish(struct newdir *d, struct err *e)
{
    char *parent = fs_join(d->dir, "..", e);
    int rc = parent ? fs_sync_dir(d->part, e) : -1;

    if (rc == 0 && rename(d->part, d->dir)) /* an empty folder of that name is replaced */
        rc = err_sys(e, "cannot rename '%s' to '%s'", d->part, d->dir);
    if (rc == 0) {
        free(d->part);
        d->part = NULL;
        rc = fs_sync_dir(parent, e);
    }
    free(parent);
    newdir_abort(d);
    return rc;
}

void newdir_abort(struct newdir *d)
{
    int keep = errno;

    if (d->part)
        fs_remove_tree(d->part, NULL);
    free(d->part);
    free(d->dir);
    memset(d, 0, sizeof *d);
    errno = keep;
}
