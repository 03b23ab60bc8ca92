/* SPDX-License-Identifier: Apache-2.0 */
/* lent - see lent.h. */
#include "lent.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/mem.h"
#include "../common/tensor/safetensors.h"

#define CONFIG "config.json"
#define INDEX "model.safetensors.index.json"
#define GGUF ".gguf"
#define PART ".part" /* of a copy that grows */
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+"

static int ends_in(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

/* No way out of a folder, no hidden file, and none that a copy makes for itself. */
static int name_fits(const char *name)
{
    const size_t n = strlen(name);

    return n && n < LENT_NAME && *name != '.' && strspn(name, LETTERS) == n && !ends_in(name, PART);
}

static int add(struct lent *l, const char *name, uint64_t bytes, const char *digest, struct err *e)
{
    struct lent_file *x;

    if (!name_fits(name))
        return err_set(e, ERR_USE,
                       "file '%.140s': a name is at most %d letters, digits, '.', '-', '_', '+', "
                       "begins with no '.' and does not end in '" PART "'",
                       name, LENT_NAME - 1);
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->file[i].name, name) == 0)
            return err_set(e, ERR_USE, "file '%s' comes twice", name);
    if (l->count == LENT_FILES)
        return err_set(e, ERR_USE, "more than %d files", LENT_FILES);
    if (bytes > INT64_MAX - l->bytes)
        return err_set(e, ERR_USE, "file '%s': %" PRIu64 " bytes", name, bytes);
    if (mem_grow((void **)&l->file, &l->room, l->count + 1, sizeof *l->file, e) < 0)
        return -1;
    x = &l->file[l->count++];
    x->bytes = bytes;
    snprintf(x->name, sizeof x->name, "%s", name);
    snprintf(x->digest, sizeof x->digest, "%s", digest);
    l->bytes += bytes;
    return 0;
}

static int add_found(struct lent *l, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    uint64_t bytes;

    return fs_size(path, &bytes, e) == 0 ? add(l, slash ? slash + 1 : path, bytes, "", e) : -1;
}

static int add_beside(struct lent *l, const char *dir, const char *name, struct err *e)
{
    char *path = fs_join(dir, name, e);
    int rc = path ? fs_exists(path) ? add_found(l, path, e) : 0 : -1;

    free(path);
    return rc;
}

int lent_find(const char *model, struct lent *l, struct err *e)
{
    struct st_set *st = st_open_folder(model, e);
    int rc = st ? 0 : -1;

    *l = (struct lent){0};
    if (rc == 0 && fs_is_dir(model))
        rc = add_beside(l, model, CONFIG, e) < 0 ? -1 : add_beside(l, model, INDEX, e);
    for (size_t i = 0; rc == 0 && i < st->nshards; i++)
        rc = add_found(l, st->paths[i], e);
    st_close(&st);
    if (rc < 0)
        lent_release(l);
    return rc;
}

char *lent_path(const char *model, const struct lent *l, size_t i, struct err *e)
{
    return fs_is_dir(model) ? fs_join(model, l->file[i].name, e) : mem_text(model, e);
}

struct json *lent_say(const struct lent *l)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < l->count; i++) {
        struct json *o = json_new_object();

        if (json_set_text(o, "name", l->file[i].name) ||
            json_set_int(o, "bytes", (int64_t)l->file[i].bytes) ||
            json_set_text(o, "digest", l->file[i].digest))
            json_destroy(&o);
        if (json_push(list, o) != 0)
            json_destroy(&list);
    }
    return list;
}

static int read_one(struct lent *l, const struct json *j, struct err *e)
{
    const char *name = json_need_text(j, "name", "file", e), *digest;
    int64_t bytes;

    if (!name || !(digest = json_need_text(j, "digest", "file", e)) ||
        json_need_int(j, "bytes", 0, INT64_MAX, &bytes, "file", e) < 0)
        return -1;
    if (!digest_is_text(digest))
        return err_set(e, ERR_USE, "file '%.140s': field 'digest' is no digest", name);
    return add(l, name, (uint64_t)bytes, digest, e);
}

/* Names of files that a program would look for and find in the list. */
static int is_model(const struct lent *l)
{
    size_t configs = 0;

    for (size_t i = 0; i < l->count; i++)
        configs += strcmp(l->file[i].name, CONFIG) == 0;
    return configs || (l->count == 1 && ends_in(l->file[0].name, GGUF));
}

int lent_read(const struct json *list, struct lent *l, struct err *e)
{
    int rc = 0;

    *l = (struct lent){0};
    if (json_kind(list) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "field 'files' must be a list");
    for (size_t i = 0; rc == 0 && i < json_count(list); i++)
        rc = read_one(l, json_at(list, i), e);
    if (rc == 0 && !is_model(l))
        rc = err_set(e, ERR_USE, "the files are no model: there is no " CONFIG);
    if (rc < 0)
        lent_release(l);
    return rc;
}

void lent_digest(const struct lent *l, char out[DIGEST_TEXT])
{
    struct digest d;

    digest_start(&d);
    for (size_t i = 0; i < l->count; i++) {
        const struct lent_file *x = &l->file[i];
        char line[LENT_NAME + DIGEST_TEXT + 32];

        digest_add(&d, line,
                   (size_t)snprintf(line, sizeof line, "%s %" PRIu64 " %s\n", x->name, x->bytes,
                                    x->digest));
    }
    digest_end(&d, out);
}

char *lent_model(const struct lent *l, const char *dir, struct err *e)
{
    return l->count == 1 && ends_in(l->file[0].name, GGUF) ? fs_join(dir, l->file[0].name, e)
                                                           : mem_text(dir, e);
}

void lent_release(struct lent *l)
{
    free(l->file);
    *l = (struct lent){0};
}
