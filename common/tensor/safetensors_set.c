/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_set - a Hugging Face folder as one set of tensors: a single file, or the shards an
 * index names.
 *
 * The index is as little trusted as a header: shard names must be plain file names, every tensor
 * it promises must be in the shard it names, and no tensor may be in two shards. Tensors of a
 * shard that the index does not list belong to the set all the same, as in the reference reader. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "gguf_folder.h"
#include "safetensors.h"
#include "safetensors_mxfp4.h"

#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"
#define SHARDS_MAX 4096

struct names {
    const char **list; /* borrowed from the index */
    size_t count, cap;
};

static int shard_name_check(const char *name, const char *tensor, const char *index, struct err *e)
{
    if (!name)
        return err_set(e, ERR_USE, "%s: weight_map of tensor '%.190s' is not a file name", index,
                       tensor);
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/') ||
        strchr(name, '\\'))
        return err_set(
            e, ERR_USE,
            "%s: weight_map of tensor '%.190s': '%.100s' is not the name of a file in this folder",
            index, tensor, name);
    return 0;
}

static size_t names_find(const struct names *n, const char *name)
{
    /* the last one first: an index lists its tensors shard by shard */
    for (size_t i = n->count; i-- > 0;)
        if (strcmp(n->list[i], name) == 0)
            return i;
    return n->count;
}

static int names_collect(struct names *n, const struct json *map, const char *index, struct err *e)
{
    for (size_t i = 0; i < json_count(map); i++) {
        const char *tensor, *name = json_as_text(json_member(map, i, &tensor));

        if (shard_name_check(name, tensor, index, e))
            return -1;
        if (names_find(n, name) < n->count)
            continue;
        if (n->count >= SHARDS_MAX)
            return err_set(e, ERR_USE, "%s: weight_map names more than %d files", index,
                           SHARDS_MAX);
        if (mem_grow((void **)&n->list, &n->cap, n->count + 1, sizeof *n->list, e))
            return -1;
        n->list[n->count++] = name;
    }
    return 0;
}

/* Moves the one shard of `one` into the set. */
static int set_take(struct st_set *s, struct st_set *one, struct err *e)
{
    size_t have = s->count, shard = s->nshards;
    struct st_entry *all = mem_array(have + one->count + 1, sizeof *all, e);

    if (!all)
        return -1;
    if (have)
        memcpy(all, s->entries, have * sizeof *all);
    for (size_t i = 0; i < one->count; i++) {
        all[have + i] = one->entries[i];
        all[have + i].shard = shard;
    }
    free(s->entries);
    s->entries = all;
    s->count = have + one->count;
    s->paths[shard] = one->paths[0];
    s->fds[shard] = one->fds[0];
    s->nshards++;
    one->paths[0] = NULL;
    one->fds[0] = -1;
    if (shard == 0) {
        s->metadata = one->metadata;
        one->metadata = NULL;
    }
    return 0;
}

static int shards_open(struct st_set *s, const struct names *n, const char *dir, const char *index,
                       struct err *e)
{
    s->paths = mem_array(n->count + 1, sizeof *s->paths, e);
    s->fds = mem_array(n->count + 1, sizeof *s->fds, e);
    if (!s->paths || !s->fds)
        return -1;
    for (size_t i = 0; i < n->count; i++) {
        char *path = fs_join(dir, n->list[i], e);
        struct st_set *one = NULL;
        int rc = -1;

        if (path && !fs_is_named(path))
            err_set(e, ERR_USE, "%s: shard '%.100s' is missing from the folder; download it again",
                    index, n->list[i]);
        else if (path && (one = st_open(path, e)))
            rc = set_take(s, one, e);
        st_close(&one);
        free(path);
        if (rc)
            return -1;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct st_entry *x = a, *y = b;
    int c = strcmp(x->name, y->name);

    return c ? c : (x->shard > y->shard) - (x->shard < y->shard);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int set_check(struct st_set *s, const struct names *n, const struct json *map,
                     const char *index, struct err *e)
{
    if (s->count)
        qsort(s->entries, s->count, sizeof *s->entries, by_name);
    for (size_t i = 1; i < s->count; i++)
        if (strcmp(s->entries[i - 1].name, s->entries[i].name) == 0)
            return err_set(e, ERR_USE, "%s: tensor '%s' is in two shards, '%s' and '%s'", index,
                           s->entries[i].name, base_name(s->paths[s->entries[i - 1].shard]),
                           base_name(s->paths[s->entries[i].shard]));
    for (size_t i = 0; i < json_count(map); i++) {
        const char *tensor, *name = json_as_text(json_member(map, i, &tensor));
        const struct st_entry *x = st_find(s, tensor);

        if (!x || x->shard != names_find(n, name))
            return err_set(e, ERR_USE,
                           "%s: tensor '%.190s' is not in shard '%.100s'; download the model again",
                           index, tensor, name);
    }
    return 0;
}

static struct st_set *index_open(const char *dir, const char *index, struct err *e)
{
    struct json *root = json_read(index, e);
    const struct json *map = json_get(root, "weight_map");
    struct names names = {NULL, 0, 0};
    struct st_set *s = NULL;

    if (!root)
        return NULL;
    if (json_kind(map) != JSON_KIND_OBJECT || json_count(map) == 0) {
        err_set(e, ERR_USE, "%s: field 'weight_map' is missing or empty", index);
        goto out;
    }
    s = mem_array(1, sizeof *s, e);
    if (s && (names_collect(&names, map, index, e) || shards_open(s, &names, dir, index, e) ||
              set_check(s, &names, map, index, e)))
        st_close(&s);
out:
    free(names.list);
    json_destroy(&root);
    return s;
}

/* Of a single file and an index beside it one is old, unless the index names that file. */
static int both_check(const char *dir, const char *index, struct err *e)
{
    struct json *root = json_read(index, e);
    const struct json *map = json_get(root, "weight_map");
    int rc = root ? -1 : -2;

    for (size_t i = 0; rc == -1 && i < json_count(map); i++) {
        const char *name = json_as_text(json_member(map, i, NULL));

        rc = name && strcmp(name, SINGLE) == 0 ? 0 : -1;
    }
    json_destroy(&root);
    if (rc == -1)
        err_set(e, ERR_USE,
                "%s: both " SINGLE " and " INDEX " are in this folder, and the index does not name "
                "that file: one of them is of another model, or older; move it away",
                dir);
    return rc < 0 ? -1 : 0;
}

/* Files of a kind that others make of models. */
static const char *file_hint(const char *const *names, size_t count)
{
    const char *hint = "";

    for (size_t i = 0; i < count; i++) {
        const char *dot = strrchr(names[i], '.');

        if (dot && strcmp(dot, ".gguf") == 0)
            hint = " (GGUF files are there: name one of them as the model)";
        else if (!*hint && dot && (strcmp(dot, ".bin") == 0 || strcmp(dot, ".pth") == 0))
            hint = " (PyTorch files are there: convert them to safetensors)";
        else if (!*hint && dot && strcmp(dot, ".safetensors") == 0)
            hint =
                " (other safetensors files are there: if they are its shards, download the index "
                "too)";
    }
    return hint;
}

static int is_model(const char *dir, const char *name)
{
    char *path = mem_printf(NULL, "%s/%s/config.json", dir, name);
    int is = path && fs_is_named(path);

    free(path);
    return is;
}

/* An output of several formats holds a model for each; 0: no folder in it is one. */
static int models_hint(const char *dir, const char *const *names, size_t count,
                       char hint[ST_HINT_MAX])
{
    size_t at = 0;

    for (size_t i = 0; i < count && at < ST_HINT_MAX; i++)
        if (is_model(dir, names[i]))
            at += (size_t)snprintf(hint + at, ST_HINT_MAX - at, "%s%s/%s",
                                   at ? ", " : " (models are in it: ", dir, names[i]);
    if (at && at < ST_HINT_MAX)
        snprintf(hint + at, ST_HINT_MAX - at, ")");
    return at > 0;
}

/* What a run leaves in OUT/.ptqflow until the checkpoint is there (follow.h); 0: it is none. */
static int run_hint(const char *dir, char hint[ST_HINT_MAX])
{
    char *folder = fs_join(dir, ".ptqflow", NULL);
    char *failed = folder ? fs_join(folder, "failed", NULL) : NULL, *why = NULL;
    const int is = folder && fs_is_dir(folder);
    size_t n;

    if (is && failed && fs_is_named(failed) && (why = fs_read(failed, 4096, &n, NULL)))
        snprintf(hint, ST_HINT_MAX, " (a run that ended without a checkpoint: %.*s)",
                 (int)strcspn(why, "\n"), why);
    else if (is)
        snprintf(hint, ST_HINT_MAX,
                 " (a run that is not finished: its checkpoint appears when it is)");
    free(why);
    free(failed);
    free(folder);
    return is;
}

const char *st_folder_hint(const char *dir, char hint[ST_HINT_MAX])
{
    const char *files;
    char **names = NULL;
    size_t count = 0;

    *hint = '\0';
    if (fs_list(dir, &names, &count, NULL))
        return hint;
    files = file_hint((const char *const *)names, count);
    if (!models_hint(dir, (const char *const *)names, count, hint) &&
        (*files || !run_hint(dir, hint)))
        snprintf(hint, ST_HINT_MAX, "%s", files);
    fs_names_free(&names, count);
    return hint;
}

/* A folder of the cache that a hub's client keeps, in which the model lies deeper. */
static int is_cache(const char *dir)
{
    char *deeper = fs_join(dir, "snapshots", NULL), *config = fs_join(dir, "config.json", NULL);
    int is = deeper && config && fs_is_dir(deeper) && !fs_is_named(config);

    free(config);
    free(deeper);
    return is;
}

static int is_gguf(const char *path)
{
    char *file = gguf_path(path);
    const int is = file != NULL;

    free(file);
    return is;
}

int st_folder_check(const char *dir, struct err *e)
{
    size_t n = strlen(dir);
    uint64_t bytes;

    if (is_gguf(dir))
        return 0;
    if (fs_is_dir(dir))
        return is_cache(dir) ? err_set(e, ERR_USE,
                                       "%s: a folder of a download cache; the model is a folder "
                                       "below %s/snapshots",
                                       dir, dir)
                             : 0;
    if (!fs_exists(dir) && fs_is_named(dir))
        return fs_size(dir, &bytes, e); /* a link to nothing: it says to what */
    if (!fs_exists(dir))
        return err_set(e, ERR_USE,
                       "%s: not a folder: nothing has that name, so there is no %s/config.json; a "
                       "model is a folder on this machine: download it first",
                       dir, dir);
    if (fs_check_pointer(dir, e) < 0)
        return -1;
    if (n > 5 && strcmp(dir + n - 5, ".gguf") == 0)
        return err_set(e, ERR_USE, "%s: not a GGUF file: it does not begin with GGUF", dir);
    return err_set(
        e, ERR_USE, "%s: a file; a model is a folder with config.json%s, or a GGUF file", dir,
        n > 12 && strcmp(dir + n - 12, ".safetensors") == 0 ? ", this file and others" : "");
}

static struct st_set *folder_open(const char *dir, struct err *e)
{
    char *single = fs_join(dir, SINGLE, e), *index = fs_join(dir, INDEX, e);
    struct st_set *s = NULL;
    char hint[ST_HINT_MAX];

    if (single && index && st_folder_check(dir, e) == 0) {
        int one = fs_is_named(single), many = fs_is_named(index);

        if (!one && !many)
            err_set(e, ERR_USE, "%s: neither " SINGLE " nor " INDEX " in this folder%s", dir,
                    st_folder_hint(dir, hint));
        else if (!one || (many && both_check(dir, index, e) == 0))
            s = index_open(dir, index, e);
        else if (!many)
            s = st_open(single, e);
        if (s && mxfp4_view(s, e) < 0)
            st_close(&s);
    }
    free(single);
    free(index);
    return s;
}

struct st_set *st_open_folder(const char *dir, struct err *e)
{
    char *gguf = gguf_path(dir);
    struct st_set *s = gguf ? gguf_set_open(gguf, e) : folder_open(dir, e);

    free(gguf);
    return s;
}

struct json *st_records(const struct st_set *s)
{
    const char *text = json_as_text(json_get(s->metadata, ST_RECORDS));
    struct json *all = text ? json_parse(text, strlen(text), "metadata", NULL) : NULL;

    if (json_kind(all) == JSON_KIND_ARRAY)
        return all;
    json_destroy(&all);
    return json_new_array();
}
