/* SPDX-License-Identifier: Apache-2.0 */
/* opt - options by table: parsing. The help is in opt_help.c. */
#include "opt.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "near.h"
#include "version.h"

#define SIZE_LIMIT ((unsigned long long)1 << 60) /* sums and shares of sizes fit into 64 bits */

/* ---- values ---- */

static int bounded(const struct opt *o)
{
    return o->min < 0 || o->min > 0 || o->max < 0 || o->max > 0;
}

/* Behind a number: k, m, g or t, in either case, are 1024, its square, cube and fourth power. The
 * shift, and end on what follows. */
static int unit_shift(char **end)
{
    static const char units[] = "kKmMgGtT";
    const char *unit = **end ? strchr(units, **end) : NULL;

    if (!unit)
        return 0;
    (*end)++;
    return 10 * (int)((unit - units) / 2 + 1);
}

static int set_int(const struct opt *o, void *at, const char *name, const char *value,
                   struct err *e)
{
    char *end;
    long long v;
    int shift;

    errno = 0;
    v = strtoll(value, &end, 10);
    shift = end == value ? 0 : unit_shift(&end);
    if (end == value || *end || errno || v > INT64_MAX >> shift || v < INT64_MIN >> shift)
        return err_set(e, ERR_USE,
                       "--%s: '%s' is not a whole number (64k and 1M are 65536 and 1048576)", name,
                       value);
    v *= 1LL << shift;
    if (bounded(o) && ((double)v < o->min || (double)v > o->max))
        return err_set(e, ERR_USE, "--%s: %s is out of range, must be %.0f to %.0f", name, value,
                       o->min, o->max);
    *(int64_t *)at = v;
    return 0;
}

static int set_real(const struct opt *o, void *at, const char *name, const char *value,
                    struct err *e)
{
    char *end;
    double v;

    errno = 0;
    v = strtod(value, &end);
    if (end == value || *end || !isfinite(v))
        return err_set(e, ERR_USE, "--%s: '%s' is not a number", name, value);
    if (bounded(o) && (v < o->min || v > o->max))
        return err_set(e, ERR_USE, "--%s: %s is out of range, must be %g to %g", name, value,
                       o->min, o->max);
    *(double *)at = v;
    return 0;
}

static int set_size(const struct opt *o, void *at, const char *name, const char *value,
                    struct err *e)
{
    char *end;
    unsigned long long v;
    int shift = 0;

    errno = 0;
    v = strtoull(value, &end, 10);
    if (end != value)
        shift = unit_shift(&end);
    if (*value < '0' || *value > '9' || *end)
        return err_set(
            e, ERR_USE,
            "--%s: '%s' is not a size in bytes (a number, with k, M, G or T if you like)", name,
            value);
    if (errno || v > SIZE_LIMIT >> shift)
        return err_set(e, ERR_USE, "--%s: %s is more bytes than there can be, at most %dT", name,
                       value, (int)(SIZE_LIMIT >> 40));
    if (v && !shift && (double)v < o->min)
        return err_set(e, ERR_USE,
                       "--%s: %s would be so many bytes: say %sG or %sM (or %sK, if it is to be so "
                       "little)",
                       name, value, value, value, value);
    *(uint64_t *)at = (uint64_t)v << shift;
    return 0;
}

const char *opt_choice_at(const struct opt *o, size_t i, int *value)
{
    if (o->nth)
        return o->nth(i, value);
    *value = o->choices[i].value;
    return o->choices[i].name;
}

/* "2|3|4|8" */
static void choices_text(const struct opt *o, char *out, size_t room)
{
    const char *one;
    size_t n = 0;
    int v;

    out[0] = 0;
    for (size_t i = 0; (one = opt_choice_at(o, i, &v)) && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s%s", i ? "|" : "", one);
}

static int set_choice(const struct opt *o, void *at, const char *name, const char *value,
                      struct err *e)
{
    struct near near = near_start(value, strlen(value));
    const char *one;
    char all[256];
    int v;

    for (size_t i = 0; (one = opt_choice_at(o, i, &v)); i++) {
        if (strcmp(one, value) == 0) {
            *(int *)at = v;
            return 0;
        }
        if (near.n > 2) /* of less, anything short is near */
            near_try(&near, one);
    }
    choices_text(o, all, sizeof all);
    return err_set(e, ERR_USE, "--%s: '%s' is not one of %s%s%s%s", name, value, all,
                   near.name ? "; did you mean " : "", near.name ? near.name : "",
                   near.name ? "?" : "");
}

int opt_set(const struct opt *o, void *values, const char *name, const char *value, struct err *e)
{
    void *at = (char *)values + o->offset;
    struct opt_texts *texts = at;

    if (o->type == OPT_FLAG) {
        if (value)
            return err_set(e, ERR_USE, "--%s takes no value", name);
        *(int *)at = 1;
        return 0;
    }
    if (!value)
        return err_set(e, ERR_USE, "--%s needs a value", name);
    /* a variable of a shell that was never set: no name of a file, no pattern is empty */
    if (!*value && (o->type == OPT_TEXT || o->type == OPT_TEXTS))
        return err_set(e, ERR_USE, "--%s has an empty value", name);
    switch (o->type) {
    case OPT_INT:
        return set_int(o, at, name, value, e);
    case OPT_SIZE:
        return set_size(o, at, name, value, e);
    case OPT_REAL:
        return set_real(o, at, name, value, e);
    case OPT_CHOICE:
        return set_choice(o, at, name, value, e);
    case OPT_TEXTS:
        if (texts->count == OPT_TEXTS_MAX)
            return err_set(e, ERR_USE, "--%s is given more than %d times", name, OPT_TEXTS_MAX);
        texts->text[texts->count++] = value;
        return 0;
    case OPT_TEXT:
    case OPT_FLAG:
        break;
    }
    *(const char **)at = value;
    return 0;
}

union value {
    int choice;
    int64_t number;
    uint64_t size;
    double real;
    const char *text;
    struct opt_texts texts;
};

int opt_check(const struct opt *o, const char *name, const char *value, struct err *e)
{
    struct opt one = *o;
    union value v = {.texts = {0}};

    one.offset = 0;
    return opt_set(&one, &v, name, value, e);
}

int opt_changed(const struct opt *o, const void *values)
{
    const void *at = (const char *)values + o->offset;
    struct opt one = *o;
    union value v = {.texts = {0}};

    one.offset = 0;
    if (o->def && opt_set(&one, &v, o->name, o->def, NULL) < 0)
        return 1;
    switch (o->type) {
    case OPT_FLAG:
    case OPT_CHOICE:
        return *(const int *)at != v.choice;
    case OPT_INT:
        return *(const int64_t *)at != v.number;
    case OPT_SIZE:
        return *(const uint64_t *)at != v.size;
    case OPT_REAL:
        return *(const double *)at < v.real || *(const double *)at > v.real;
    case OPT_TEXT:
        return !v.text != !*(const char *const *)at ||
               (v.text && strcmp(*(const char *const *)at, v.text) != 0);
    case OPT_TEXTS:
        break;
    }
    return ((const struct opt_texts *)at)->count > 0;
}

int opt_unwanted(const struct opt *rows, const void *values, const struct opt_with *with, size_t n,
                 struct err *e)
{
    const struct opt_group group = {.rows = rows};

    for (size_t i = 0; i < n; i++) {
        const struct opt *o = opt_find(&group, 1, with[i].name, strlen(with[i].name), NULL);

        if (!with[i].wanted && o && opt_changed(o, values))
            return err_set(e, ERR_USE, "--%s means nothing without %s: leave it out", o->name,
                           with[i].other);
    }
    return 0;
}

static int valid_choice(const struct opt *o, int value, struct err *e)
{
    char all[256];
    int v;

    for (size_t i = 0; opt_choice_at(o, i, &v); i++)
        if (v == value)
            return 0;
    choices_text(o, all, sizeof all);
    return err_set(e, ERR_USE, "--%s must be one of %s", o->name, all);
}

int opt_valid(const struct opt *o, const void *values, struct err *e)
{
    const void *at = (const char *)values + o->offset;
    double v = 0;

    if (o->type == OPT_CHOICE)
        return valid_choice(o, *(const int *)at, e);
    if (o->type == OPT_INT)
        v = (double)*(const int64_t *)at;
    if (o->type == OPT_REAL)
        v = *(const double *)at;
    if ((o->type != OPT_INT && o->type != OPT_REAL) || !bounded(o) || (v >= o->min && v <= o->max))
        return 0;
    return err_set(e, ERR_USE, "--%s must be from %.15g to %.15g, not %g", o->name, o->min, o->max,
                   v);
}

const char *opt_choice_name(const struct opt_choice *choices, int value)
{
    for (; choices->name; choices++)
        if (choices->value == value)
            return choices->name;
    return "?";
}

int opt_defaults(const struct opt_group *group, size_t ngroups, struct err *e)
{
    for (size_t g = 0; g < ngroups; g++)
        for (const struct opt *o = group[g].rows; o && o->name; o++)
            if (o->def && opt_set(o, group[g].values, o->name, o->def, e) < 0)
                return -1;
    return 0;
}

int opt_complete(const struct opt_group *group, size_t ngroups, struct err *e)
{
    for (size_t g = 0; g < ngroups; g++)
        for (const struct opt *o = group[g].rows; o && o->name; o++) {
            const void *at = (const char *)group[g].values + o->offset;

            if (!o->must)
                continue;
            if (o->type == OPT_TEXTS ? !((const struct opt_texts *)at)->count
                                     : !*(const char *const *)at)
                return err_set(e, ERR_USE, "--%s %s is missing: %.*s", o->name, o->arg,
                               (int)strcspn(o->help, "\n;"), o->help);
        }
    return 0;
}

/* ---- the command line ---- */

/* Number of the row in all groups; -1: there is none. */
static int row_index(const struct opt_group *group, size_t ngroups, const char *name, size_t n,
                     const struct opt **row, void **values)
{
    int at = 0;

    for (size_t g = 0; g < ngroups; g++)
        for (const struct opt *o = group[g].rows; o && o->name; o++, at++)
            if (strlen(o->name) == n && memcmp(o->name, name, n) == 0) {
                *row = o;
                *values = group[g].values;
                return at;
            }
    return -1;
}

static size_t row_count(const struct opt_spec *s)
{
    size_t n = 0;

    for (size_t g = 0; g < s->ngroups; g++)
        for (const struct opt *o = s->group[g].rows; o && o->name; o++)
            n++;
    return n;
}

const struct opt *opt_find(const struct opt_group *group, size_t ngroups, const char *name,
                           size_t n, void **values)
{
    const struct opt *o = NULL;
    void *v;

    row_index(group, ngroups, name, n, &o, values ? values : &v);
    return o;
}

static int unknown(const struct opt_spec *s, const char *name, size_t n, struct err *e)
{
    struct near near = near_start(name, n);

    for (size_t g = 0; g < s->ngroups; g++)
        for (const struct opt *o = s->group[g].rows; o && o->name; o++)
            near_try(&near, o->name);
    return err_set(e, ERR_USE, "unknown option '--%.*s'%s%s%s (see %s --help)", (int)n, name,
                   near.name ? ": did you mean --" : "", near.name ? near.name : "",
                   near.name ? "?" : "", s->command);
}

/* One "--name[=value]"; *used says how many of argv it took. */
static int parse_option(const struct opt_spec *s, char *seen, int argc, char **argv, int at,
                        int *used, struct err *e)
{
    const char *name = argv[at] + 2, *eq = strchr(name, '='), *value = eq ? eq + 1 : NULL;
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    const struct opt *o;
    void *values;
    int index = row_index(s->group, s->ngroups, name, n, &o, &values);

    *used = 1;
    if (index < 0)
        return unknown(s, name, n, e);
    if (seen[index] && o->type != OPT_TEXTS)
        return err_set(e, ERR_USE, "--%s is given twice", o->name);
    if (!seen[index] && o->type == OPT_TEXTS) /* the first one takes the default's place */
        ((struct opt_texts *)(void *)((char *)values + o->offset))->count = 0;
    seen[index] = 1;
    if (o->type != OPT_FLAG && !value && at + 1 < argc) {
        value = argv[at + 1];
        *used = 2;
    }
    return opt_set(o, values, o->name, value, e);
}

static int add_arg(const struct opt_spec *s, struct opt_args *args, const char *arg, struct err *e)
{
    if (!args || args->count >= s->args_max || args->count >= OPT_ARGS_MAX)
        return err_set(e, ERR_USE, "unexpected argument '%s' (see %s --help)", arg, s->command);
    if (!*arg)
        return err_set(e, ERR_USE, "argument %zu is empty (see %s --help)", args->count + 1,
                       s->command);
    args->arg[args->count++] = arg;
    return 0;
}

/* Help and version win over whatever else is wrong with the line; a value of an option is not
 * taken for one. */
static int asked(const struct opt_spec *s, int argc, char **argv, const char *what,
                 const char *brief)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const struct opt *o = NULL;

        if (strcmp(argv[i], what) == 0 || strcmp(argv[i], brief) == 0)
            return 1;
        if (strncmp(argv[i], "--", 2) == 0)
            o = opt_find(s->group, s->ngroups, argv[i] + 2, strlen(argv[i] + 2), NULL);
        if (o && o->type != OPT_FLAG)
            i++;
    }
    return 0;
}

static int finish_show(struct err *e)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return err_sys(e, "cannot write to standard output");
    return 1;
}

static int is_own(const struct opt_spec *s, const char *word)
{
    return strcmp(word, "--") == 0 ||
           (strncmp(word, "--", 2) == 0 &&
            opt_find(s->group, s->ngroups, word + 2, strcspn(word + 2, "="), NULL));
}

static int parse_all(const struct opt_spec *s, char *seen, struct opt_args *args, int argc,
                     char **argv, struct err *e)
{
    int literal = 0;

    for (int i = 1, used; i < argc; i += used) {
        const int other = s->passes && argv[i][0] == '-' && argv[i][1] && !is_own(s, argv[i]);

        used = 1;
        if (other && add_arg(s, args, argv[i], e) < 0)
            return -1;
        if (other)
            continue;
        if (!literal && strcmp(argv[i], "--") == 0) {
            literal = 1;
        } else if (!literal && strncmp(argv[i], "--", 2) == 0) {
            if (parse_option(s, seen, argc, argv, i, &used, e) < 0)
                return -1;
        } else if (!literal && argv[i][0] == '-' && argv[i][1]) {
            return err_set(e, ERR_USE, "unknown option '%s' (see %s --help)", argv[i], s->command);
        } else if (add_arg(s, args, argv[i], e) < 0) {
            return -1;
        }
    }
    if ((args ? args->count : 0) < s->args_min)
        return err_set(e, ERR_USE, "an argument is missing: %s %s", s->command,
                       s->usage ? s->usage : "");
    return 0;
}

int opt_parse(const struct opt_spec *spec, struct opt_args *args, int argc, char **argv,
              struct err *e)
{
    char *seen;
    int rc;

    if (args)
        args->count = 0;
    if (asked(spec, argc, argv, "--help", "-h")) {
        opt_print_help(stdout, spec);
        return finish_show(e);
    }
    if (asked(spec, argc, argv, "--version", "-V")) {
        printf("%s %s\n", spec->command, PTQ_VERSION);
        return finish_show(e);
    }
    seen = mem_array(row_count(spec) + 1, 1, e);
    if (!seen)
        return -1;
    rc = parse_all(spec, seen, args, argc, argv, e);
    free(seen);
    return rc;
}
