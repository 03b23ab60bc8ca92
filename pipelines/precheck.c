/* precheck - model folder, data files, output folder, and whether bits and group fit the shapes of the model. */
#include "precheck.h"

#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/model/gptq_format.h"
#include "../common/model/override.h"
#include "../common/model/site.h"
#include "../common/wire/follow.h"

static int check_data(const struct recipe *r, struct err *e)
{
    const struct recipe_var *data = recipe_find(r, "data");

    for (size_t i = 0; data && i < data->count; i++) {
        uint64_t bytes;

        if (fs_size(data->value[i], &bytes, e) != 0) {
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

    if (parts && fs_list(out, &names, &count, e) == 0 && (!fs_exists(parts) || fs_empty_dir(parts, &empty, e) == 0))
        rc = empty && count == 1 && strcmp(names[0], FOLLOW_DIR) == 0;
    fs_names_free(&names, count);
    free(parts);
    return rc;
}

static int check_out(const struct recipe *r, struct err *e)
{
    const char *out = recipe_value(r, "out");
    char *own;
    int empty = 0, ours, barren;

    if (!out || !fs_exists(out))
        return 0;
    if (!fs_is_dir(out))
        return err_set(e, ERR_USE, "--out: '%s' is there and not a folder", out);
    if (fs_empty_dir(out, &empty, e) != 0)
        return err_prefix(e, "--out");
    if (empty)
        return 0;
    own = fs_join(out, FOLLOW_DIR, e);
    ours = own ? fs_exists(own) : -1;
    free(own);
    barren = ours > 0 ? is_barren(out, e) : 0;
    if (ours < 0 || barren)
        return barren > 0 ? 0 : -1;
    return err_set(e, ERR_USE, "--out: '%s' holds %s: %s", out, ours ? "an earlier output of ptqflow" : "something else",
                   ours ? "remove it or give another folder" : "give an empty folder or a new one");
}

struct shape_opts {
    long bits, group; /* bits 0: not known */
    int packed;
    struct overrides overrides;
};

static int check_linear(const struct shape_opts *o, size_t block, const struct site_info *site, size_t i, struct err *e)
{
    const struct site_linear *l = &site->linear[i];
    struct override_values v;
    int64_t group;
    int bits;

    overrides_of(&o->overrides, block, site->name, l->name, &v);
    if (v.skip == 1)
        return 0;
    group = v.group ? v.group : o->group;
    bits = v.bits ? v.bits : (int)o->bits;
    if (group > 0 && site->inputs % (size_t)group)
        return err_set(e, ERR_USE, "--group: %lld does not divide the %zu inputs of '%s'", (long long)group, site->inputs, l->name);
    return o->packed && bits > 0 ? gptq_check(l->rows, site->inputs, bits, group, l->name, e) : 0;
}

/* Engines fuse what now differs: once for each kind of site. */
static void warn_split(const struct shape_opts *o, const struct config *c)
{
    for (int s = 0; s < SITE_COUNT && o->packed; s++)
        for (size_t b = 0; b < c->layers; b++) {
            struct site_info site;

            if (!overrides_split(&o->overrides, c, b, (enum site)s))
                continue;
            site_describe(c, b, (enum site)s, &site);
            log_warn("b%zu.%s: its linears differ after the overrides: vLLM and SGLang, which fuse them into %s, cannot load that", b,
                     site.name, site_fused((enum site)s));
            break;
        }
}

static int check_model(const struct shape_opts *o, const struct config *c, struct err *e)
{
    if (overrides_check(&o->overrides, c, e) != 0)
        return -1;
    for (size_t b = 0; b < (o->overrides.count ? c->layers : 1); b++)
        for (size_t s = 0; s < SITE_COUNT; s++) {
            struct site_info site;

            site_describe(c, b, (enum site)s, &site);
            for (size_t i = 0; i < site.count; i++)
                if (check_linear(o, b, &site, i, e) != 0)
                    return -1;
        }
    warn_split(o, c);
    return 0;
}

static int check_shapes(const struct recipe *r, const struct config *c, struct err *e)
{
    const char *group = recipe_value(r, "group"), *bits = recipe_value(r, "bits"), *format = recipe_value(r, "format");
    const struct recipe_var *lines = recipe_find(r, "override");
    struct shape_opts o = { .packed = format && strstr(format, "gptq"), .bits = bits ? strtol(bits, NULL, 10) : 0 };
    char *end = NULL;
    int rc;

    o.group = group ? strtol(group, &end, 10) : -1;
    if (group && (end == group || *end || (o.group != -1 && o.group < 1)))
        return err_set(e, ERR_USE, "--group: '%s' is neither -1 nor a number of inputs", group);
    if (overrides_load(&o.overrides, recipe_value(r, "overrides"), lines ? (const char *const *)lines->value : NULL,
                       lines ? lines->count : 0, e) != 0)
        return -1;
    rc = check_model(&o, c, e);
    overrides_release(&o.overrides);
    return rc;
}

int precheck(const struct recipe *r, struct config *c, int *known, struct err *e)
{
    const char *model = recipe_value(r, "model");

    *known = 0;
    if (model && !fs_is_dir(model))
        return err_set(e, ERR_USE, "--model: '%s' is not a folder", model);
    if (check_data(r, e) != 0 || check_out(r, e) != 0)
        return -1;
    if (!model)
        return 0;
    if (config_read(model, c, e) != 0)
        return -1;
    *known = 1;
    if (check_shapes(r, c, e) == 0)
        return 0;
    config_release(c);
    *known = 0;
    return -1;
}
