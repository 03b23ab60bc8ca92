/* SPDX-License-Identifier: Apache-2.0 */
/* journal - reading back, appending, and forgetting the records of a run. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/fs.h"
#include "../base/mem.h"

struct journal {
    char *path;
    int fd;
    uint64_t bytes; /* of whole lines */
    struct json *records;
};

static const char *const kinds[] = {"start",      "note",    "site", "resume",
                                    "from_parts", "publish", "done"};

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

/* check NULL: any kind is taken. */
static int line_add(struct json *records, const char *line, size_t length, const char *what,
                    int (*check)(const struct json *, const char *, struct err *), struct err *e)
{
    struct json *r = json_parse(line, length, what, e);

    if (!r)
        return -1;
    if (!json_as_text(json_get(r, "record"))) {
        err_set(e, ERR_USE, "%s: not a record of a journal: no field 'record'", what);
    } else if (!check || check(r, what, e) == 0) {
        if (json_push(records, r) == 0)
            return 0;
        return err_set(e, ERR_SYS, "%s: out of memory", what);
    }
    json_destroy(&r);
    return -1;
}

/* bytes: of the whole lines; *cut: there are some behind them */
static int lines_read(struct json *records, const char *path, uint64_t *bytes, int *cut,
                      int (*check)(const struct json *, const char *, struct err *), struct err *e)
{
    size_t length = 0, number = 1;
    char *text = fs_check_regular(path, e) < 0 ? NULL : fs_read(path, JOURNAL_MAX, &length, e);
    char *at = text, *end;
    int rc = text ? 0 : -1;

    for (; rc == 0 && (end = memchr(at, '\n', length - (size_t)(at - text)));
         at = end + 1, number++) {
        char *what = mem_printf(e, "%s line %zu", path, number);

        rc = what ? line_add(records, at, (size_t)(end - at), what, check, e) : -1;
        free(what);
    }
    *bytes = (uint64_t)(at - text);
    *cut = *bytes < length;
    free(text);
    return rc;
}

struct json *journal_read(const char *path, int *cut, struct err *e)
{
    struct json *records = json_new_array();
    uint64_t bytes;

    if (!records)
        err_set(e, ERR_SYS, "'%s': out of memory", path);
    else if (lines_read(records, path, &bytes, cut, NULL, e))
        json_destroy(&records);
    return records;
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
    int cut = 0;

    if (!j)
        return NULL;
    j->fd = -1;
    j->path = mem_text(path, e);
    j->records = json_new_array();
    if (!j->path || !j->records) {
        err_set(e, ERR_SYS, "'%s': out of memory", path);
        goto fail;
    }
    if (fs_check_regular(path, e) < 0)
        goto fail;
    if ((j->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0) {
        err_sys(e, "cannot open '%s'", path);
        goto fail;
    }
    if (lines_read(j->records, path, &j->bytes, &cut, record_check, e) || (cut && bytes_cut(j, e)))
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

const struct json *journal_at(const struct journal *j, size_t i)
{
    return json_at(j->records, i);
}

static int is_from(const struct json *record, uint64_t from)
{
    const char *kind = json_as_text(json_get(record, "record"));
    int64_t order;

    return kind && strcmp(kind, "site") == 0 &&
           json_as_int(json_get(record, "order"), &order) == 0 && (uint64_t)order >= from;
}

/* The file, whole: its lines are then these records. */
static int rewrite(struct journal *j, const struct json *kept, struct err *e)
{
    char *all = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&all, &bytes);
    int rc = f ? 0 : err_sys(e, "'%s'", j->path), fd;

    for (size_t i = 0; i < json_count(kept) && rc == 0; i++) {
        char *line = json_print(json_at(kept, i), 0, e);

        rc = line ? 0 : -1;
        if (line)
            fprintf(f, "%s\n", line);
        free(line);
    }
    if (f && fclose(f) != 0 && rc == 0)
        rc = err_sys(e, "'%s'", j->path);
    if (rc == 0)
        rc = fs_publish(j->path, all, bytes, e);
    if (rc == 0 && (fd = open(j->path, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0) {
        rc = err_sys(e, "cannot open '%s'", j->path);
    } else if (rc == 0) {
        close(j->fd);
        j->fd = fd;
        j->bytes = bytes;
    }
    free(all);
    return rc;
}

int journal_forget(struct journal *j, uint64_t from, struct err *e)
{
    struct json *kept = json_new_array();
    size_t n = json_count(j->records);
    int rc = kept ? 0 : err_set(e, ERR_SYS, "'%s': out of memory", j->path);

    for (size_t i = 0; i < n && rc == 0; i++)
        if (!is_from(json_at(j->records, i), from) &&
            json_push(kept, json_clone(json_at(j->records, i))))
            rc = err_set(e, ERR_SYS, "'%s': out of memory", j->path);
    if (rc == 0 && json_count(kept) < n && (rc = rewrite(j, kept, e)) == 0) {
        json_destroy(&j->records);
        j->records = kept;
        kept = NULL;
    }
    json_destroy(&kept);
    return rc;
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
