/* SPDX-License-Identifier: Apache-2.0 */
/* fs_look - what stands behind a name: nothing is opened. */
#include "fs.h"

#include <string.h>
#include <sys/stat.h>

int fs_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

int fs_is_named(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

int fs_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int fs_check_regular(const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
        return 0;
    return err_set(e, ERR_USE, "'%s' is not a regular file: remove it", path);
}

int fs_check_dash(const char *path, struct err *e)
{
    return strcmp(path, "-") != 0
               ? 0
               : err_set(e, ERR_USE,
                         "'-' is no name for a file or folder that is to be written here: give "
                         "one (./- if it is to be called so)");
}

int fs_same(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino &&
           S_ISREG(x.st_mode);
}
