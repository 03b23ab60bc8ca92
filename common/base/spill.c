/* SPDX-License-Identifier: Apache-2.0 */
/* spill - see spill.h. */
#include "spill.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "fs.h"

const char *spill_dir(void)
{
    const char *dir = getenv("TMPDIR");

    return dir && *dir ? dir : "/var/tmp";
}

int spill_make(struct spill *s, struct err *e)
{
    char *path;

    if (s->fd >= 0)
        return 0;
    if (!(path = fs_join(s->dir, "ptqflow-spill-XXXXXX", e)))
        return -1;
    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd < 0)
        err_sys(e, "cannot make a spill file in '%s' (--tmp or TMPDIR names another folder)",
                s->dir);
    else
        unlink(path);
    free(path);
    return s->fd < 0 ? -1 : 0;
}

static int in_folder(const struct spill *s, int rc, struct err *e)
{
    return rc == 0 ? 0 : err_prefix(e, "folder '%s' (--tmp or TMPDIR names another)", s->dir);
}

int spill_write(struct spill *s, const void *data, size_t n, uint64_t at, struct err *e)
{
    return spill_make(s, e) < 0
               ? -1
               : in_folder(s, fs_pwrite_all(s->fd, data, n, at, "spill file", e), e);
}

int spill_read(const struct spill *s, void *data, size_t n, uint64_t at, struct err *e)
{
    return in_folder(s, fs_pread_all(s->fd, data, n, at, "spill file", e), e);
}

int spill_empty(struct spill *s)
{
    return s->fd < 0 ? 0 : ftruncate(s->fd, 0);
}

void spill_close(struct spill *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
