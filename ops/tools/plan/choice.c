/* SPDX-License-Identifier: Apache-2.0 */
/* choice - see choice.h. */
#include "choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../../../common/run/journal.h"
#include "../allocate/allocate.h"

#define RUNS_MAX 64

struct runs {
    size_t count;
    char *dir[RUNS_MAX]; /* owned */
};

static int has_journal(const char *dir)
{
    char *path = mem_printf(NULL, "%s/.ptqflow/" JOURNAL_NAME, dir);
    const int there = path && fs_exists(path);

    free(path);
    return there;
}

static int runs_add(struct runs *r, const char *dir, struct err *e)
{
    if (r->count == RUNS_MAX)
        return err_set(e, ERR_USE, "--losses: more than %d runs", RUNS_MAX);
    return (r->dir[r->count] = mem_text(dir, e)) ? (r->count++, 0) : -1;
}

/* A run, or those in a folder. */
static int runs_find(struct runs *r, const char *dir, struct err *e)
{
    const size_t before = r->count;
    char **names = NULL;
    size_t count = 0;
    int rc;

    if (has_journal(dir))
        return runs_add(r, dir, e);
    if (fs_list(dir, &names, &count, e) < 0)
        return err_prefix(e, "--losses");
    rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        char *path = fs_join(dir, names[i], e);

        rc = !path ? -1 : has_journal(path) ? runs_add(r, path, e) : 0;
        free(path);
    }
    fs_names_free(&names, count);
    if (rc == 0 && r->count == before)
        rc = err_set(e, ERR_USE, "--losses: '%s' is no run and holds none", dir);
    return rc;
}

static int runs_all(struct runs *r, const struct opt_texts *dirs, const char *out, struct err *e)
{
    char *mixed = !dirs->count && out ? mem_printf(e, "%s.mixed", out) : NULL;
    int rc = 0;

    if (mixed && fs_is_dir(mixed))
        rc = runs_find(r, mixed, e);
    else if (!dirs->count)
        rc = err_set(e, ERR_USE,
                     "a choice is made by what earlier runs lost: --losses DIR says where they are "
                     "(ptq run makes them itself)");
    for (size_t i = 0; i < dirs->count && rc == 0; i++)
        rc = runs_find(r, dirs->text[i], e);
    free(mixed);
    return rc;
}

/* As ptq allocate prints it; NULL on error. */
static char *choose(const struct allocate_target *target, const struct runs *r, struct err *e)
{
    const struct allocate_opts o = {.score = ALLOCATE_AGREED, .target = *target, .protect = 1};
    struct allocate *a = allocate_open((const char *const *)r->dir, r->count, &o, e);
    char *text = NULL;
    size_t n = 0;
    FILE *f = a && allocate_run(a, e) == 0 ? open_memstream(&text, &n) : NULL;

    if (f) {
        allocate_print(a, f);
        if (fclose(f)) {
            free(text);
            text = NULL;
        }
    }
    if (!text && e->kind == ERR_NONE)
        err_set(e, ERR_SYS, "no memory for the choice");
    allocate_close(&a);
    return text;
}

int choice_make(const struct allocate_target *target, const struct opt_texts *dirs, const char *out,
                const struct opt_texts *command, struct overrides *lines, char **text,
                struct err *e)
{
    struct runs r = {.count = 0};
    int rc = runs_all(&r, dirs, out, e);

    *text = rc == 0 ? choose(target, &r, e) : NULL;
    rc = *text ? overrides_parse(lines, *text, strlen(*text), "the choice", e) : -1;
    for (size_t i = 0; i < command->count && rc == 0; i++)
        rc = overrides_add(lines, command->text[i], strlen(command->text[i]), "--override", e);
    for (size_t i = 0; i < r.count; i++)
        free(r.dir[i]);
    for (char *s = *text; s; s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL)
        if (*s != '#') {
            *s = '\0';
            break;
        }
    return rc;
}
