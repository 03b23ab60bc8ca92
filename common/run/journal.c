/* SPDX-License-Identifier: Apache-2.0 */
/* journal - reading back, appending, and forgetting the records of a run. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/fs.h"
#include "../base/mem.h"

struct journal {
    char *path;
    int fd;
    uint64_t bytes; /* of whole lines */
    struct json *records;
};

static const char *const kinds[] = {"start", "site", "publish", "done"};

static int record_check(const struct json *r, const char *what, struct err *e)
{
    const char *kind = json_as_text(json_get(r, "record"));
    int64_t format;

    for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kind, kinds[i]))
            continue;
        if (i > 0)
            return 0;
        if (json_need_int(r, "format", 0, INT64_MAX, &format, what, e))
            return -1;
        if (format != JOURNAL_FORMAT)
            return err_set(e, ERR_USE, "%s: journal of format %lld, this ptq-write knows %d", what,
                           (long long)format, JOURNAL_FORMAT);
        return 0;
    }
    return err_set(e, ERR_USE, "%s: not a record of a journal", what);
}

static int line_add(struct journal *j, const char *line, size_t length, size_t number,
                    struct err *e)
{
    char *what = mem_printf(e, "%s line %zu", j->path, number);
    struct json *r = what ? json_parse(line, length, what, e) : NULL;
    int rc = -1;

    if (!r || record_check(r, what, e))
        goto out;
    rc = json_push(j->records, r);
    r = NULL;
    if (rc)
        err_set(e, ERR_SYS, "%s: out of memory", what);
out:
    json_destroy(&r);
    free(what);
    return rc;
}

static int lines_read(struct journal *j, struct err *e)
{
    size_t length = 0, number = 1;
    char *text = fs_read(j->path, JOURNAL_MAX, &length, e), *at = text, *end;
    int rc = -1;

    if (!text)
        return -1;
    for (; (end = memchr(at, '\n', length - (size_t)(at - text))); at = end + 1, number++)
        if (line_add(j, at, (size_t)(end - at), number, e))
            goto out;
    j->bytes = (uint64_t)(at - text);
    rc = 0;
out:
    free(text);
    return rc;
}

static int bytes_cut(struct journal *j, struct err *e)
{
    if (ftruncate(j->fd, (off_t)j->bytes) || fsync(j->fd))
        return err_sys(e, "cannot shorten '%s'", j->path);
    return 0;
}

struct journal *journal_open(const char *path, struct err *e)
{
    struct journal *j = mem_array(1, sizeof *j, e);
    struct stat st;

    if (!j)
        return NULL;
    j->fd = -1;
    j->path = mem_text(path, e);
    j->records = json_new_array();
    if (!j->path || !j->records) {
        err_set(e, ERR_SYS, "'%s': out of memory", path);
        goto fail;
    }
    if ((j->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0) {
        err_sys(e, "cannot open '%s'", path);
        goto fail;
    }
    if (lines_read(j, e))
        goto fail;
    if (fstat(j->fd, &st) == 0 && (uint64_t)st.st_size > j->bytes && bytes_cut(j, e))
        goto fail;
    return j;
fail:
    journal_close(&j);
    return NULL;
}

void journal_close(struct journal **j)
{
    int saved = errno;

    if (!j || !*j)
        return;
    if ((*j)->fd >= 0)
        close((*j)->fd);
    json_destroy(&(*j)->records);
    free((*j)->path);
    free(*j);
    *j = NULL;
    errno = saved;
}

size_t journal_count(const struct journal *j)
{
    return json_count(j->records);
}

const struct json *journal_last(const struct journal *j, const char *record)
{
    for (size_t i = json_count(j->records); i-- > 0;) {
        const struct json *r = json_at(j->records, i);

        if (strcmp(json_as_text(json_get(r, "record")), record) == 0)
            return r;
    }
    return NULL;
}

int journal_append(struct journal *j, struct json **record, struct err *e)
{
    struct json *r = *record;
    char *text = NULL, *line = NULL;
    size_t length;
    int rc = -1;

    *record = NULL;
    if (!r)
        return err_set(e, ERR_SYS, "'%s': out of memory", j->path);
    if (record_check(r, j->path, e) || !(text = json_print(r, 0, e)) ||
        !(line = mem_printf(e, "%s\n", text)))
        goto out;
    length = strlen(line);
    if (fs_write_all(j->fd, line, length, j->path, e) ||
        (fsync(j->fd) && err_sys(e, "cannot make '%s' durable", j->path))) {
        /* Half a line must not stay: a later append would grow it into one that cannot be read. */
        bytes_cut(j, NULL);
        goto out;
    }
    j->bytes += length;
    rc = json_push(j->records, r);
    r = NULL;
    if (rc)
        err_set(e, ERR_SYS, "'%s': out of memory", j->path);
out:
    json_destroy(&r);
    free(line);
    free(text);
    return rc;
}

int journal_clear(struct journal *j, struct err *e)
{
    struct json *none = json_new_array();

    if (!none)
        return err_set(e, ERR_SYS, "'%s': out of memory", j->path);
    json_destroy(&j->records);
    j->records = none;
    j->bytes = 0;
    return bytes_cut(j, e);
}
