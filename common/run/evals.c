/* SPDX-License-Identifier: Apache-2.0 */
/* evals - the file is small and published anew each time; the folder's lock keeps two evaluations
 * apart. */
#include "evals.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "../base/fs.h"
#include "../base/mem.h"
#include "journal.h"

static char *folder_of(const char *dir, struct err *e)
{
    return mem_printf(e, "%s/.ptqflow", dir);
}

static char *path_of(const char *dir, struct err *e)
{
    return mem_printf(e, "%s/.ptqflow/" EVALS_NAME, dir);
}

int evals_check(const char *dir, struct err *e)
{
    char *folder = folder_of(dir, e);
    int rc = folder ? 0 : -1;

    if (folder && !fs_is_dir(folder))
        rc = err_set(e, ERR_USE,
                     "'%s' is no output of ptq run or ptq-write: there is no '%s' to keep figures "
                     "in",
                     dir, folder);
    free(folder);
    return rc;
}

struct json *evals_read(const char *dir, struct err *e)
{
    char *path = path_of(dir, e);
    struct json *list = NULL;
    int cut = 0;

    if (path && fs_exists(path))
        list = journal_read(path, &cut, e);
    else if (path && !(list = json_new_array()))
        err_set(e, ERR_SYS, "'%s': out of memory", path);
    free(path);
    return list;
}

/* Of the same data, reference and windows? */
static int same(const struct json *a, const struct json *b)
{
    static const char *const text[] = {"data", "ref"}, *const number[] = {"window", "max_windows"};

    for (size_t i = 0; i < 2; i++)
        if (strcmp(json_text_or(a, text[i], ""), json_text_or(b, text[i], "")) != 0 ||
            json_real_or(a, number[i], 0) < json_real_or(b, number[i], 0) ||
            json_real_or(a, number[i], 0) > json_real_or(b, number[i], 0))
            return 0;
    return 1;
}

static int line_put(FILE *f, const struct json *record, struct err *e)
{
    char *text = json_print(record, 0, e);
    int rc = !text ? -1 : fprintf(f, "%s\n", text) < 0 ? err_sys(e, "out of memory") : 0;

    free(text);
    return rc;
}

/* The file as it is to be; the caller frees it. */
static char *text_of(const struct json *list, const struct json *record, size_t *n, struct err *e)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, n);
    int rc = f ? 0 : err_sys(e, "out of memory");

    for (size_t i = 0; rc == 0 && i < json_count(list); i++)
        if (!same(json_at(list, i), record))
            rc = line_put(f, json_at(list, i), e);
    if (rc == 0)
        rc = line_put(f, record, e);
    if (f && fclose(f) && rc == 0)
        rc = err_sys(e, "out of memory");
    if (rc == 0)
        return text;
    free(text);
    return NULL;
}

int evals_add(const char *dir, struct json **record, struct err *e)
{
    char *folder = folder_of(dir, e), *path = path_of(dir, e), *text = NULL;
    struct json *list = NULL;
    size_t n = 0;
    int fd = -1, rc = -1;

    if (!*record)
        err_set(e, ERR_SYS, "'%s': out of memory", dir);
    if (!*record || !folder || !path)
        goto out;
    if ((fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || flock(fd, LOCK_EX) < 0)
        err_sys(e, "cannot lock '%s'", folder);
    else if ((list = evals_read(dir, e)) && (text = text_of(list, *record, &n, e)))
        rc = fs_publish(path, text, n, e);
out:
    if (fd >= 0)
        close(fd);
    json_destroy(&list);
    json_destroy(record);
    free(text);
    free(path);
    free(folder);
    return rc;
}
