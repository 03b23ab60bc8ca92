/* SPDX-License-Identifier: Apache-2.0 */
/* keys - see keys.h. */
#include "keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../../../common/wire/curve.h"

#define ALLOWED_BYTES ((size_t)1 << 20)

static int folder_make(const char *path, struct err *e)
{
    if (fs_mkdir(path, e) < 0)
        return -1;
    return chmod(path, 0700) == 0 ? 0 : err_sys(e, "cannot close folder '%s' to others", path);
}

/* A new file that only its owner can read, from the start. */
static int secret_write(const char *dir, const char *name, const char *text, struct err *e)
{
    char *path = fs_join(dir, name, e);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1, rc = -1;

    if (path && fd < 0)
        err_sys(e, "cannot make '%s'", path);
    if (fd >= 0) {
        rc = fs_write_all(fd, text, strlen(text), path, e);
        if (rc == 0 && fsync(fd) != 0)
            rc = err_sys(e, "cannot write '%s'", path);
        close(fd);
        if (rc < 0) /* half a key would keep a whole one from being made */
            unlink(path);
    }
    free(path);
    return rc;
}

static int public_write(const char *dir, const char *name, const char *text, struct err *e)
{
    char *path = fs_join(dir, name, e);
    int rc = path ? fs_publish(path, text, strlen(text), e) : -1;

    free(path);
    return rc;
}

static int pair_write(const char *dir, const char *name, struct curve_pair *p, struct err *e)
{
    char text[2 * CURVE_TEXT + 32];

    if (curve_pair_make(p, e) < 0)
        return -1;
    snprintf(text, sizeof text, "public %s\nsecret %s\n", p->open, p->secret);
    return secret_write(dir, name, text, e);
}

int keys_head(const char *dir, struct err *e)
{
    char *head = fs_join(dir, KEYS_HEAD, e), *key = head ? fs_join(head, CURVE_HEAD_KEY, e) : NULL;
    struct curve_pair p;
    int rc = -1;

    if (key && fs_exists(key))
        rc = 0;
    else if (key && folder_make(dir, e) == 0 && folder_make(head, e) == 0 &&
             pair_write(head, CURVE_HEAD_KEY, &p, e) == 0) {
        rc = public_write(head, CURVE_ALLOWED, "", e) == 0 ? 1 : -1;
        if (rc < 0)
            unlink(key);
    }
    free(key);
    free(head);
    return rc;
}

static int allow(const char *head, const char *name, const char *key, struct err *e)
{
    char *path = fs_join(head, CURVE_ALLOWED, e),
         *old = path ? fs_read(path, ALLOWED_BYTES, NULL, e) : NULL,
         *text = old ? mem_printf(e, "%s%s%s %s\n", old,
                                  *old && old[strlen(old) - 1] != '\n' ? "\n" : "", name, key)
                     : NULL;
    int rc = text ? fs_publish(path, text, strlen(text), e) : -1;

    free(text);
    free(old);
    free(path);
    return rc;
}

int keys_worker(const char *dir, const char *name, struct err *e)
{
    char *head = fs_join(dir, KEYS_HEAD, e), *own = fs_join(dir, name, e),
         *key = head ? fs_join(head, CURVE_HEAD_KEY, e) : NULL, text[CURVE_TEXT + 32];
    struct curve_pair of_head, p;
    int rc = -1;

    if (!key || !own || curve_pair_read(key, &of_head, e) < 0)
        goto out;
    if (fs_exists(own)) {
        err_set(e, ERR_USE, "'%s' is there: its keys stay as they are; take another name", own);
        goto out;
    }
    snprintf(text, sizeof text, "public %s\n", of_head.open);
    if (folder_make(own, e) == 0 && pair_write(own, CURVE_WORKER_KEY, &p, e) == 0 &&
        public_write(own, CURVE_HEAD_PUB, text, e) == 0)
        rc = allow(head, name, p.open, e);
    if (rc < 0) /* of one that nobody lets in; the name is free again */
        fs_remove_tree(own, NULL);
out:
    free(key);
    free(own);
    free(head);
    return rc;
}
