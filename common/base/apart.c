/* SPDX-License-Identifier: Apache-2.0 */
/* apart - see apart.h. */
#include "apart.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs.h"
#include "mem.h"

static int is_file_name(const char *path)
{
    return path && *path && strcmp(path, "-") != 0 && *path != '@' && *path != '%' &&
           !strstr(path, "://");
}

/* The folder that a name is in, and the last part of it, in one piece of memory. */
static char *folder_of(const char *path, const char **base, struct err *e)
{
    char *dir = mem_text(path, e), *slash;
    size_t n = dir ? strlen(dir) : 0;

    while (n > 1 && dir[n - 1] == '/')
        dir[--n] = '\0';
    if (!dir || !(slash = strrchr(dir, '/'))) {
        *base = path;
        free(dir);
        return dir ? mem_text(".", e) : NULL;
    }
    *base = path + (slash - dir) + 1;
    slash[slash == dir] = '\0';
    return dir;
}

/* Without slashes at the end. */
static size_t base_length(const char *base)
{
    return strcspn(base, "/");
}

static int same_stat(const struct stat *x, const struct stat *y)
{
    return x->st_dev == y->st_dev && x->st_ino == y->st_ino;
}

/* 1: one file or folder, or names that would be one; 0; -1. Devices and pipes are written to. */
static int same_name(const char *a, const char *b, struct err *e)
{
    const char *base_a, *base_b;
    char *dir_a, *dir_b;
    struct stat x, y;
    int same;

    if (stat(a, &x) == 0 && stat(b, &y) == 0)
        return (S_ISREG(x.st_mode) || S_ISDIR(x.st_mode)) && same_stat(&x, &y);
    dir_a = folder_of(a, &base_a, e);
    dir_b = folder_of(b, &base_b, e);
    same = !dir_a || !dir_b ? -1
                            : base_length(base_a) == base_length(base_b) &&
                                  strncmp(base_a, base_b, base_length(base_a)) == 0 &&
                                  stat(dir_a, &x) == 0 && stat(dir_b, &y) == 0 && same_stat(&x, &y);
    free(dir_a);
    free(dir_b);
    return same;
}

/* What a model folder is read for: other files in it may be outputs of an earlier command. */
static int is_of_model(const char *name)
{
    static const char *const ends[] = {".safetensors", ".json", ".jinja", ".model", ".gguf"};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < sizeof ends / sizeof *ends; i++)
        if (strcmp(dot, ends[i]) == 0)
            return 1;
    return 0;
}

/* Is it one of the files of the folder? A folder that cannot be read is for its reader to say. */
static int holds(const char *dir, const char *path)
{
    char **names = NULL;
    size_t count = 0;
    int held = 0;

    if (!fs_exists(path) || fs_list(dir, &names, &count, NULL) < 0)
        return 0;
    for (size_t i = 0; i < count && !held; i++) {
        char *name = is_of_model(names[i]) ? fs_join(dir, names[i], NULL) : NULL;

        held = name && fs_same(name, path);
        free(name);
    }
    fs_names_free(&names, count);
    return held;
}

static int pair_check(const struct apart_file *out, const struct apart_file *other, struct err *e)
{
    const int reads = other->kind == OPT_READS;
    int same;

    if (reads && fs_is_dir(other->path))
        return holds(other->path, out->path)
                   ? err_set(e, ERR_USE, "%s: '%s' is a file of %s '%s': write to another one",
                             out->option, out->path, other->option, other->path)
                   : 0;
    if ((same = same_name(out->path, other->path, e)) <= 0)
        return same;
    return err_set(e, ERR_USE, "%s and %s are the same file '%s'", other->option, out->option,
                   other->path);
}

int apart_check(const struct apart_file *f, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (f[i].kind == OPT_WRITES && is_file_name(f[i].path) && is_file_name(f[k].path) &&
                (f[k].kind == OPT_READS || (f[k].kind == OPT_WRITES && k < i)) &&
                pair_check(&f[i], &f[k], e) < 0)
                return -1;
    return 0;
}

/* Before hours of work, not after them. */
static int folder_check(const struct apart_file *f, struct err *e)
{
    const char *base;
    char *dir;
    int rc = 0;

    if (f->kind != OPT_WRITES || !is_file_name(f->path))
        return 0;
    if (fs_is_dir(f->path) || f->path[strlen(f->path) - 1] == '/')
        return err_set(e, ERR_USE, "%s: '%s' is a folder: give the name of a file", f->option,
                       f->path);
    if (fs_exists(f->path))
        return 0;
    if (!(dir = folder_of(f->path, &base, e)))
        return -1;
    if (!fs_is_dir(dir) || access(dir, W_OK) != 0)
        rc = err_set(e, ERR_USE, "%s '%s': no folder '%s' that can be written to", f->option,
                     f->path, dir);
    free(dir);
    return rc;
}

struct files {
    struct apart_file *f;
    size_t n, room;
};

static int file_add(struct files *all, const struct opt *o, const char *path, struct err *e)
{
    if (!path)
        return 0;
    if (mem_grow((void **)&all->f, &all->room, all->n + 1, sizeof *all->f, e) < 0)
        return -1;
    all->f[all->n] = (struct apart_file){mem_printf(e, "--%s", o->name), path, o->file};
    return all->f[all->n++].option ? 0 : -1;
}

static int row_add(struct files *all, const struct opt *o, const void *values, struct err *e)
{
    const char *at = (const char *)values + o->offset, *text;
    const struct opt_texts *texts = (const void *)at;

    if (!o->file)
        return 0;
    if (o->type == OPT_TEXT) {
        memcpy(&text, at, sizeof text);
        return file_add(all, o, text, e);
    }
    for (size_t i = 0; i < texts->count; i++)
        if (file_add(all, o, texts->text[i], e) < 0)
            return -1;
    return 0;
}

int apart_options(const struct opt_group *group, size_t ngroups, const struct apart_file *more,
                  size_t nmore, struct err *e)
{
    struct files all = {0};
    size_t named;
    int rc = 0;

    for (size_t g = 0; g < ngroups && rc == 0; g++)
        for (const struct opt *o = group[g].rows; o->name && rc == 0; o++)
            rc = row_add(&all, o, group[g].values, e);
    named = all.n;
    for (size_t i = 0; i < named && rc == 0; i++)
        rc = folder_check(&all.f[i], e);
    if (rc == 0)
        rc = mem_grow((void **)&all.f, &all.room, named + nmore + 1, sizeof *all.f, e);
    for (size_t i = 0; i < nmore && rc == 0; i++)
        all.f[all.n++] = more[i];
    if (rc == 0)
        rc = apart_check(all.f, all.n, e);
    for (size_t i = 0; i < named; i++)
        free((char *)(uintptr_t)all.f[i].option);
    free(all.f);
    return rc;
}
