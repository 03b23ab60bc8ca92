/* SPDX-License-Identifier: Apache-2.0 */
/* write_out - claiming, clearing and publishing of the output folder. Files lie in OUT or one
 * folder below it. */
#include "write_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/base/owner.h"
#include "../../common/run/evals.h"
#include "../../common/wire/follow.h"

#define ASSEMBLE_NAME FOLLOW_DIR "/assemble"

static char *out_path(const struct out_folder *o, const char *name, struct err *e)
{
    return fs_join(o->path, name, e);
}

static int is_config(const char *file)
{
    const char *slash = strrchr(file, '/');

    return strcmp(slash ? slash + 1 : file, "config.json") == 0;
}

/* Appends the paths of the files below dir/prefix to list, two levels deep at most; folders at
 * that depth count as files. */
static int files_list(const char *dir, const char *prefix, struct json *list, struct err *e)
{
    char *full = fs_join(dir, prefix, e), **names = NULL;
    size_t count = 0;
    int rc = -1;

    if (!full || fs_list(full, &names, &count, e))
        goto out;
    for (size_t i = 0; i < count; i++) {
        char *name = *prefix ? fs_join(prefix, names[i], e) : mem_text(names[i], e);
        char *path = name ? fs_join(dir, name, e) : NULL;
        int bad = !path;

        if (!bad && strcmp(name, FOLLOW_DIR))
            bad = !*prefix && fs_is_dir(path) ? files_list(dir, name, list, e)
                                              : json_push(list, json_new_text(name));
        free(path);
        free(name);
        if (bad)
            goto out;
    }
    rc = 0;
out:
    fs_names_free(&names, count);
    free(full);
    return rc;
}

static int listed(const struct json *files, const char *name)
{
    for (size_t i = 0; i < json_count(files); i++)
        if (strcmp(json_as_text(json_at(files, i)), name) == 0)
            return 1;
    return 0;
}

/* Everything in OUT is of the journal's published files. */
static int foreign_check(const struct out_folder *o, const struct json *published, struct err *e)
{
    struct json *there = json_new_array();
    int rc = -1;

    if (!there) {
        err_set(e, ERR_SYS, "'%s': out of memory", o->path);
    } else if (files_list(o->path, "", there, e) == 0) {
        rc = 0;
        for (size_t i = 0; i < json_count(there) && rc == 0; i++) {
            const char *name = json_as_text(json_at(there, i));

            if (!listed(published, name))
                rc = err_set(e, ERR_USE, "'%s' holds something else ('%s'); give another folder",
                             o->path, name);
        }
    }
    json_destroy(&there);
    return rc;
}

/* Before .ptqflow is made: an existing folder without one must be empty. */
static int empty_check(const struct out_folder *o, struct err *e)
{
    char *mark = out_path(o, FOLLOW_DIR, e);
    int there, rc = -1;

    if (!mark)
        return -1;
    there = fs_is_dir(mark);
    free(mark);
    if (there || !fs_exists(o->path))
        rc = 0;
    else if (!fs_is_dir(o->path))
        err_set(e, ERR_USE, "'%s' is not a folder", o->path);
    else
        rc = foreign_check(o, NULL, e);
    return rc;
}

/* A folder that cannot be made will not be made by trying again. */
static int made(const char *path, struct err *e)
{
    if (fs_mkdir(path, e) == 0)
        return 0;
    if (errno == EACCES || errno == EPERM || errno == EROFS || errno == ENOTDIR || errno == EEXIST)
        e->kind = ERR_USE;
    return -1;
}

static void busy_say(const struct out_folder *o, struct err *e)
{
    char *lock = out_path(o, FOLLOW_LOCK, e), who[OWNER_TEXT];

    if (lock && owner_lives(lock, who))
        err_set(e, ERR_USE, "'%s': another ptq-write is at work there (%s)", o->path, who);
    else if (lock)
        err_set(e, ERR_USE, "'%s': another ptq-write is at work there", o->path);
    free(lock);
}

/* The folder itself is the lock among writers: it is there before any file in it means anything. */
static int claim(struct out_folder *o, struct err *e)
{
    char *dir = out_path(o, FOLLOW_DIR, e);
    int rc = -1;

    if (!dir || made(dir, e))
        goto out;
    if ((o->claim_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        err_sys(e, "cannot open '%s'", dir);
        goto out;
    }
    if (flock(o->claim_fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            busy_say(o, e);
        else
            err_sys(e, "cannot lock '%s'", dir);
        goto out;
    }
    rc = 0;
out:
    free(dir);
    return rc;
}

static int earlier_check(const struct out_folder *o, enum out_earlier earlier, struct err *e)
{
    const struct json *publish = journal_last(o->journal, "publish");

    if (foreign_check(o, json_get(publish, "files"), e))
        return -1;
    if (earlier == OUT_REPLACE)
        return 0;
    if (journal_last(o->journal, "done"))
        return err_set(e, ERR_USE, "'%s' holds a finished output; --overwrite replaces it",
                       o->path);
    if (earlier == OUT_REFUSE && (journal_last(o->journal, "site") || publish))
        return err_set(e, ERR_USE,
                       "'%s' holds an unfinished run; --overwrite throws it away and starts again",
                       o->path);
    return 0;
}

static int remove_one(const struct out_folder *o, const char *name, struct err *e)
{
    char *path = out_path(o, name, e);
    int rc = path ? 0 : -1;

    if (path && remove(path) && errno != ENOENT)
        rc = err_sys(e, "cannot remove '%s'", path);
    free(path);
    return rc;
}

static int state_remove(const struct out_folder *o, struct err *e)
{
    char *path = out_path(o, FOLLOW_STATE, e);
    int rc = path ? fs_remove_tree(path, e) : -1;

    free(path);
    return rc;
}

/* config.json first (nothing loads without it), the journal last (it says what is ours). */
static int earlier_clear(struct out_folder *o, enum out_earlier earlier, struct err *e)
{
    static const char *const own[] = {FOLLOW_LOCK, FOLLOW_FAILED, FOLLOW_DONE,
                                      FOLLOW_DIR "/" EVALS_NAME};
    const struct json *files = json_get(journal_last(o->journal, "publish"), "files");

    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < json_count(files); i++)
            if (is_config(json_as_text(json_at(files, i))) == !pass &&
                remove_one(o, json_as_text(json_at(files, i)), e))
                return -1;
    for (size_t i = 0; i < json_count(files); i++) {
        char *dir = mem_text(json_as_text(json_at(files, i)), e),
             *slash = dir ? strchr(dir, '/') : NULL;

        if (slash) {
            *slash = '\0';
            if (remove_one(o, dir, NULL) && errno != ENOTEMPTY && errno != EEXIST) {
                free(dir);
                return err_sys(e, "cannot clear '%s'", o->path);
            }
        }
        free(dir);
        if (!dir)
            return -1;
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (remove_one(o, own[i], e))
            return -1;
    if (fs_remove_tree(o->assemble, e))
        return -1;
    if (earlier == OUT_GO_ON)
        return fs_sync_dir(o->path, e);
    if (fs_remove_tree(o->parts, e) || state_remove(o, e) ||
        remove_one(o, FOLLOW_DIR "/" JOURNAL_JOB, e) || fs_sync_dir(o->path, e))
        return -1;
    return journal_clear(o->journal, e);
}

/* The name appears with the lock taken (follow.h). */
static int lock_show(struct out_folder *o, struct err *e)
{
    char *path = out_path(o, FOLLOW_LOCK, e), *temp = path ? mem_printf(e, "%s.new", path) : NULL;
    int rc = -1;

    if (!temp)
        goto out;
    if (unlink(temp) && errno != ENOENT) /* of a writer that was killed */
        err_sys(e, "cannot remove '%s'", temp);
    else if ((o->lock_fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) < 0)
        err_sys(e, "cannot make '%s'", temp);
    else if (owner_take(o->lock_fd, temp, e))
        rc = -1;
    else if (rename(temp, path))
        err_sys(e, "cannot rename '%s'", temp);
    else
        rc = 0;
out:
    free(temp);
    free(path);
    return rc;
}

/* The journal is durable line by line: so are the names that lead to it. */
static int names_sync(const struct out_folder *o, struct err *e)
{
    char *dir = out_path(o, FOLLOW_DIR, e);
    int rc = dir ? fs_sync_path(dir, e) : -1;

    free(dir);
    return rc;
}

/* One that cannot be read says no more what in the folder is ours: to be replaced there is then but
 * what never published anything. */
static struct journal *journal_take(const struct out_folder *o, const char *path,
                                    enum out_earlier earlier, struct err *e)
{
    struct err why = {0};
    struct journal *j = journal_open(path, &why);

    if (!j && earlier == OUT_REPLACE && why.kind == ERR_USE && foreign_check(o, NULL, NULL) == 0 &&
        remove(path) == 0)
        j = journal_open(path, &why);
    if (!j)
        err_set(e, why.kind, "%s%s", why.text,
                why.kind == ERR_USE ? "; give another folder, or remove this one" : "");
    return j;
}

int out_open(struct out_folder *o, const char *path, enum out_earlier earlier, struct err *e)
{
    char *journal = NULL;

    memset(o, 0, sizeof *o);
    o->claim_fd = o->lock_fd = -1;
    if (!(o->path = mem_text(path, e)) || !(o->parts = out_path(o, FOLLOW_PARTS, e)) ||
        !(o->assemble = out_path(o, ASSEMBLE_NAME, e)) ||
        !(journal = out_path(o, FOLLOW_DIR "/" JOURNAL_NAME, e)))
        goto fail;
    if (empty_check(o, e) || claim(o, e) || !(o->journal = journal_take(o, journal, earlier, e)))
        goto fail;
    if (earlier_check(o, earlier, e) || earlier_clear(o, earlier, e) || made(o->parts, e))
        goto fail;
    free(journal);
    return 0;
fail:
    free(journal);
    out_release(o);
    return -1;
}

int out_show(struct out_folder *o, struct err *e)
{
    return lock_show(o, e) || names_sync(o, e) ? -1 : 0;
}

void out_release(struct out_folder *o)
{
    int saved = errno;

    journal_close(&o->journal);
    if (o->lock_fd >= 0)
        close(o->lock_fd);
    if (o->claim_fd >= 0)
        close(o->claim_fd);
    free(o->path);
    free(o->parts);
    free(o->assemble);
    memset(o, 0, sizeof *o);
    o->claim_fd = o->lock_fd = -1;
    errno = saved;
}

void out_fail(struct out_folder *o, const char *why)
{
    char *path = out_path(o, FOLLOW_FAILED, NULL), *text = mem_printf(NULL, "%s\n", why);

    fs_remove_tree(o->assemble, NULL); /* also makes room for the mark when the disk is full */
    if (path && text)
        fs_publish(path, text, strlen(text), NULL);
    free(text);
    free(path);
}

struct json *out_assembled(const struct out_folder *o, struct err *e)
{
    struct json *files = json_new_array();

    if (!files)
        err_set(e, ERR_SYS, "'%s': out of memory", o->path);
    else if (files_list(o->assemble, "", files, e))
        json_destroy(&files);
    return files;
}

/* Folders that the file needs in OUT, then the file. */
static int move_one(const struct out_folder *o, const char *file, struct err *e)
{
    char *from = fs_join(o->assemble, file, e), *to = out_path(o, file, e), *slash;
    int rc = -1;

    if (!from || !to)
        goto out;
    if (strchr(file, '/')) {
        slash = strrchr(to, '/');
        *slash = '\0';
        rc = fs_mkdir(to, e);
        *slash = '/';
        if (rc)
            goto out;
    }
    rc = rename(from, to) ? err_sys(e, "cannot move '%s' to '%s'", from, to) : 0;
out:
    free(from);
    free(to);
    return rc;
}

static int folders_sync(const struct out_folder *o, const struct json *files, struct err *e)
{
    for (size_t i = 0; i < json_count(files); i++) {
        const char *file = json_as_text(json_at(files, i)), *slash = strchr(file, '/');
        char *dir;
        int rc;

        if (!is_config(file) || !slash)
            continue;
        dir = mem_printf(e, "%s/%.*s", o->path, (int)(slash - file), file);
        rc = dir ? fs_sync_dir(dir, e) : -1;
        free(dir);
        if (rc)
            return -1;
    }
    return fs_sync_dir(o->path, e);
}

int out_publish(struct out_folder *o, const struct json *files, struct err *e)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < json_count(files); i++) {
            const char *file = json_as_text(json_at(files, i));

            if (is_config(file) == pass && move_one(o, file, e))
                return -1;
        }
        if (folders_sync(o, files, e))
            return -1;
    }
    return fs_remove_tree(o->assemble, e);
}

int out_done(struct out_folder *o, int keep_parts, struct err *e)
{
    char *path = out_path(o, FOLLOW_DONE, e);
    int rc = path ? fs_publish(path, "", 0, e) : -1;

    free(path);
    rc = rc ? -1 : state_remove(o, e);
    if (rc || keep_parts)
        return rc;
    return fs_remove_tree(o->parts, e);
}
