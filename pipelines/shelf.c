/* SPDX-License-Identifier: Apache-2.0 */
/* shelf - see shelf.h. They lie in the source tree, or where `make install` puts them. */
#include "shelf.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/cpu.h"
#include "../common/base/fs.h"
#include "../common/base/mem.h"
#include "../common/base/near.h"
#include "launch.h"

#define RECIPE_BYTES ((size_t)1 << 20)
#define SUFFIX ".pipe"

static const char *const places[] = {"/../pipelines", "/../share/ptqflow/pipelines"};
#define PLACES (sizeof places / sizeof *places)

static char *try_recipe(const char *dir, const char *slash, const char *name, const char *suffix)
{
    char *path = mem_printf(NULL, "%s%s%s%s", dir, slash, name, suffix);

    if (path && fs_exists(path) && !fs_is_dir(path))
        return path;
    free(path);
    return NULL;
}

static int is_recipe(const char *name)
{
    const size_t n = strlen(name), m = strlen(SUFFIX);

    return n > m && strcmp(name + n - m, SUFFIX) == 0;
}

static int holds_recipes(const char *dir)
{
    char **names = NULL;
    size_t count = 0;
    int found = 0;

    if (!fs_is_dir(dir) || fs_list(dir, &names, &count, NULL) < 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        found |= is_recipe(names[i]);
    fs_names_free(&names, count);
    return found;
}

/* The first folder with recipes; caller frees. NULL: none. A build puts objects into one of the
 * places. */
static char *folder(void)
{
    char own[PATH_MAX];

    launch_own_dir(own, sizeof own);
    for (size_t i = 0; i < PLACES; i++) {
        char *dir = mem_printf(NULL, "%s%s", own, places[i]);

        if (dir && holds_recipes(dir))
            return dir;
        free(dir);
    }
    return NULL;
}

static int not_there(const char *name, const char *dir, struct err *e)
{
    struct near near = near_start(name, strlen(name));
    char **names = NULL;
    size_t count = 0;

    if (dir && !strchr(name, '/') && fs_list(dir, &names, &count, e) == 0)
        for (size_t i = 0; i < count; i++)
            if (is_recipe(names[i])) {
                names[i][strlen(names[i]) - strlen(SUFFIX)] = '\0';
                near_try(&near, names[i]);
            }
    err_set(e, ERR_USE,
            "recipe '%s' is not there, neither as a file nor among those that came with ptq%s%s%s "
            "(ptq recipes lists them)",
            name, near.name ? ": did you mean " : "", near.name ? near.name : "",
            near.name ? "?" : "");
    fs_names_free(&names, count);
    return -1;
}

/* *ours: it came with ptq. */
static char *find_recipe(const char *name, int *ours, struct err *e)
{
    char *path = try_recipe("", "", name, ""), *dir = path ? NULL : folder();

    *ours = !path;
    if (!path && dir && !strchr(name, '/')) {
        path = try_recipe(dir, "/", name, "");
        path = path ? path : try_recipe(dir, "/", name, SUFFIX);
    }
    if (!path)
        not_there(name, dir, e);
    free(dir);
    return path;
}

/* One that came with ptq goes by its name. */
static struct recipe *load(const char *path, int ours, size_t cores, struct err *e)
{
    char *text = fs_read(path, RECIPE_BYTES, NULL, e);
    const char *base = ours ? strrchr(path, '/') + 1 : path;
    const size_t cut = ours && is_recipe(base) ? strlen(SUFFIX) : 0;
    char *name = text ? mem_printf(e, "%.*s", (int)(strlen(base) - cut), base) : NULL;
    struct recipe *r = name ? recipe_parse(text, name, cores ? cores : cpu_count(), e) : NULL;

    free(name);
    free(text);
    return r;
}

struct recipe *shelf_open(const char *name, size_t cores, struct err *e)
{
    int ours;
    char *path = find_recipe(name, &ours, e);
    struct recipe *r = path ? load(path, ours, cores, e) : NULL;

    free(path);
    return r;
}

static int take_one(const char *dir, char *name, shelf_take *take, void *ctx, struct err *e)
{
    char *path = fs_join(dir, name, e);
    struct recipe *r = path ? load(path, 1, 0, e) : NULL;

    name[strlen(name) - strlen(SUFFIX)] = '\0';
    if (r)
        take(ctx, name, r->about);
    free(path);
    if (!r)
        return -1;
    recipe_destroy(&r);
    return 0;
}

int shelf_each(shelf_take *take, void *ctx, struct err *e)
{
    char *dir = folder(), **names = NULL;
    size_t count = 0;
    int rc;

    if (!dir)
        return err_set(e, ERR_USE, "no recipes lie beside ptq");
    rc = fs_list(dir, &names, &count, e);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (is_recipe(names[i]))
            rc = take_one(dir, names[i], take, ctx, e);
    fs_names_free(&names, count);
    free(dir);
    return rc;
}
