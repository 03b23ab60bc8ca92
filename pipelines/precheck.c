/* SPDX-License-Identifier: Apache-2.0 */
/* precheck - model folder, data files, output folder, and whether bits and group fit the shapes
 * of the model. */
#include "precheck.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/run/override.h"
#include "../common/model/sites.h"
#include "../common/wire/follow.h"
#include "control.h"
#include "rundir.h"

static int check_data(const struct recipe *r, struct err *e)
{
    const struct recipe_var *data = recipe_find(r, "data");

    for (size_t i = 0; data && i < data->count; i++) {
        struct stat st;
        uint64_t bytes;

        if (!strcmp(data->value[i], "-") ||
            (stat(data->value[i], &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
            continue; /* a pipe: only its reader knows what comes */
        if (fs_size(data->value[i], &bytes, e) < 0) {
            e->kind = ERR_USE;
            return err_prefix(e, "--data");
        }
        if (bytes == 0)
            return err_set(e, ERR_DATA, "--data: '%s' is empty", data->value[i]);
    }
    return 0;
}

/* What a run leaves that ended before its first site: the writer clears it. 1, 0, -1. */
static int is_barren(const char *out, struct err *e)
{
    char **names = NULL, *parts = fs_join(out, FOLLOW_PARTS, e);
    size_t count = 0;
    int rc = -1, empty = 1;

    if (parts && fs_list(out, &names, &count, e) == 0 &&
        (!fs_exists(parts) || fs_empty_dir(parts, &empty, e) == 0))
        rc = empty && count == 1 && strcmp(names[0], FOLLOW_DIR) == 0;
    fs_names_free(&names, count);
    free(parts);
    return rc;
}

/* Somebody is at work there: a run, or a writer that was started by hand. 1, 0, -1. */
static int is_busy(const char *out, char who[OWNER_TEXT], struct err *e)
{
    char *control = fs_join(out, FOLLOW_DIR "/" CONTROL_NAME, e),
         *lock = fs_join(out, FOLLOW_LOCK, e);
    int rc = control && lock ? rundir_lives(control, who) || owner_lives(lock, who) : -1;

    free(lock);
    free(control);
    return rc;
}

static int check_out(const struct recipe *r, struct err *e)
{
    const char *out = recipe_value(r, "out");
    char *own, who[OWNER_TEXT];
    int empty = 0, ours, barren, busy;

    if (!out || !fs_exists(out))
        return 0;
    if (!fs_is_dir(out))
        return err_set(e, ERR_USE, "--out: '%s' is there and not a folder", out);
    if (fs_empty_dir(out, &empty, e) < 0)
        return err_prefix(e, "--out");
    if (empty)
        return 0;
    if ((busy = is_busy(out, who, e)) != 0)
        return busy < 0 ? -1
                        : err_set(e, ERR_USE,
                                  "--out: a run is writing to '%s' (%s); see: ptq ctl "
                                  "--out %s status",
                                  out, who, out);
    own = fs_join(out, FOLLOW_DIR, e);
    ours = own ? fs_exists(own) : -1;
    free(own);
    barren = ours > 0 ? is_barren(out, e) : 0;
    if (ours < 0 || barren)
        return barren > 0 ? 0 : -1;
    if (ours && recipe_value(r, "overwrite")) /* what of it is ours the writer knows */
        return 0;
    return err_set(e, ERR_USE, "--out: '%s' holds %s: %s", out,
                   ours ? "an earlier output of ptqflow" : "something else",
                   !ours ? "give an empty folder or a new one"
                   : recipe_find(r, "overwrite")
                       ? "remove it, give another folder, or say --overwrite"
                       : "remove it or give another folder");
}

/* Engines fuse what now differs: once for each name of a site. */
static void warn_split(const struct overrides *o, const struct sites *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct site *x = &s->site[i];
        int said = 0;

        for (size_t k = 0; k < i && overrides_split(o, x) && !said; k++)
            said = strcmp(s->site[k].name, x->name) == 0 && overrides_split(o, &s->site[k]);
        if (!said && overrides_split(o, x))
            log_warn("b%zu.%s: its linears differ after the overrides: vLLM and SGLang, which fuse "
                     "them into %s, cannot load that",
                     x->block, x->name, x->fused);
    }
}

static int check_shapes(const struct recipe *r, const struct sites *s, struct err *e)
{
    const char *group = recipe_value(r, "group"), *bits = recipe_value(r, "bits"),
               *format = recipe_value(r, "format");
    const struct recipe_var *lines = recipe_find(r, "override");
    const struct format *formats[FORMATS_MAX];
    struct format_linear all = {.scale_type = DT_COUNT};
    size_t nformats = 0;
    int fuses = 0;
    struct overrides o = OVERRIDES_NONE;
    char *end = NULL;
    long g = group ? strtol(group, &end, 10) : -1;
    int rc;

    if (group && (end == group || *end || (g != -1 && g < 1)))
        return err_set(e, ERR_USE, "--group: '%s' is neither -1 nor a number of inputs", group);
    if (format && format_parse(format, formats, &nformats, e))
        return err_prefix(e, "--format");
    all.bits = bits ? (int)strtol(bits, NULL, 10) : 0;
    all.group = g;
    all.grid = grid_find(recipe_value(r, "grid"));
    if (overrides_load(&o, recipe_value(r, "overrides"),
                       lines ? (const char *const *)lines->value : NULL, lines ? lines->count : 0,
                       e) < 0)
        return -1;
    rc = overrides_check_shapes(&o, s, &all, formats, nformats, e);
    for (size_t i = 0; i < nformats; i++)
        fuses |= formats[i]->fuses;
    if (rc == 0 && fuses)
        warn_split(&o, s);
    overrides_release(&o);
    return rc;
}

int precheck(const struct recipe *r, struct config *c, int *known, struct err *e)
{
    const char *model = recipe_value(r, "model");
    struct sites s;
    int rc;

    *known = 0;
    if (model && !fs_is_dir(model))
        return err_set(e, ERR_USE, "--model: '%s' is not a folder", model);
    if (check_data(r, e) < 0 || check_out(r, e) < 0)
        return -1;
    if (!model)
        return 0;
    if (config_read(model, c, e) < 0)
        return -1;
    rc = sites_make(&s, c, e) < 0 ? -1 : check_shapes(r, &s, e);
    sites_release(&s);
    if (rc == 0)
        *known = 1;
    else
        config_release(c);
    return rc;
}
