/* SPDX-License-Identifier: Apache-2.0 */
/* opt - options by table. */
#include "opt.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "version.h"

#define WIDTH 80
#define HELP_COLUMN 26

static size_t table_size(const struct opt *table)
{
    size_t n = 0;

    while (table && table[n].name)
        n++;
    return n;
}

/* Number of the choice that is s[0..n), or -1. */
static int choice_index(const char *choices, const char *s)
{
    size_t n = strlen(s);

    for (int i = 0; choices; i++) {
        const char *bar = strchr(choices, '|');
        size_t m = bar ? (size_t)(bar - choices) : strlen(choices);

        if (m == n && !memcmp(choices, s, n))
            return i;
        choices = bar ? bar + 1 : NULL;
    }
    return -1;
}

/* The i-th choice; its length in *n. */
static const char *choice_text(const char *choices, int i, size_t *n)
{
    while (choices && i-- > 0) {
        choices = strchr(choices, '|');
        choices = choices ? choices + 1 : NULL;
    }
    *n = choices ? strcspn(choices, "|") : 0;
    return choices ? choices : "";
}

static int bounded(const struct opt *o)
{
    return o->min < 0 || o->min > 0 || o->max < 0 || o->max > 0;
}

static int set_int(const struct opt *o, void *at, const char *value, struct err *e)
{
    char *end;
    long long v;

    errno = 0;
    v = strtoll(value, &end, 10);
    if (end == value || *end || errno)
        return err_set(e, ERR_USE, "--%s: '%s' is not a whole number", o->name, value);
    if (bounded(o) && ((double)v < o->min || (double)v > o->max))
        return err_set(e, ERR_USE, "--%s: %s is out of range, must be %.0f to %.0f", o->name, value,
                       o->min, o->max);
    *(int64_t *)at = v;
    return 0;
}

static int set_real(const struct opt *o, void *at, const char *value, struct err *e)
{
    char *end;
    double v;

    errno = 0;
    v = strtod(value, &end);
    if (end == value || *end || !isfinite(v))
        return err_set(e, ERR_USE, "--%s: '%s' is not a number", o->name, value);
    if (bounded(o) && (v < o->min || v > o->max))
        return err_set(e, ERR_USE, "--%s: %s is out of range, must be %g to %g", o->name, value,
                       o->min, o->max);
    *(double *)at = v;
    return 0;
}

static int set_size(const struct opt *o, void *at, const char *value, struct err *e)
{
    char *end;
    unsigned long long v;
    int shift = 0;

    errno = 0;
    v = strtoull(value, &end, 10);
    if (end != value && *end && strchr("KMG", *end)) {
        shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
        end++;
    }
    if (*value < '0' || *value > '9' || *end || errno || v > UINT64_MAX >> shift)
        return err_set(e, ERR_USE,
                       "--%s: '%s' is not a size in bytes (a number, with K, M or G if you like)",
                       o->name, value);
    *(uint64_t *)at = (uint64_t)v << shift;
    return 0;
}

static int set_value(const struct opt *o, void *values, const char *value, struct err *e)
{
    void *at = (char *)values + o->offset;
    struct opt_texts *texts = at;
    int i;

    switch (o->type) {
    case OPT_FLAG:
        if (value && strcmp(value, "1") && strcmp(value, "0"))
            return err_set(e, ERR_USE, "--%s takes no value", o->name);
        *(int *)at = !value || *value == '1';
        return 0;
    case OPT_INT:
        return set_int(o, at, value, e);
    case OPT_SIZE:
        return set_size(o, at, value, e);
    case OPT_REAL:
        return set_real(o, at, value, e);
    case OPT_TEXT:
        *(const char **)at = value;
        return 0;
    case OPT_CHOICE:
        if ((i = choice_index(o->choices, value)) < 0)
            return err_set(e, ERR_USE, "--%s: '%s' is not one of %s", o->name, value, o->choices);
        *(int *)at = i;
        return 0;
    case OPT_TEXTS:
        if (texts->count == OPT_TEXTS_MAX)
            return err_set(e, ERR_USE, "--%s is given more than %d times", o->name, OPT_TEXTS_MAX);
        texts->text[texts->count++] = value;
        return 0;
    }
    return err_set(e, ERR_USE, "--%s is of an unknown type", o->name);
}

static const struct opt *find(const struct opt *table, const char *name, size_t n)
{
    for (; table && table->name; table++)
        if (strlen(table->name) == n && !memcmp(table->name, name, n))
            return table;
    return NULL;
}

/* Prints words of text from column `at`, wrapped at WIDTH with continuation lines starting at
 * `indent`. */
static void put_wrapped(FILE *f, const char *text, int at, int indent)
{
    while (*text) {
        size_t n = strcspn(text, " \n");

        if (n && at > indent && at + (int)n + 1 > WIDTH) {
            fprintf(f, "\n%*s", indent, "");
            at = indent;
        } else if (n && at > indent) {
            fputc(' ', f);
            at++;
        }
        fwrite(text, 1, n, f);
        at += (int)n;
        text += n;
        if (*text == '\n' && text[1]) {
            fprintf(f, "\n%*s", indent, "");
            at = indent;
        }
        text += *text != 0;
    }
    fputc('\n', f);
}

/* "(default 4)" or an empty text. */
static void default_text(const struct opt *o, const void *values, char *out, size_t room)
{
    const void *at = (const char *)values + o->offset;
    const char *text;
    uint64_t size;
    size_t n;
    int unit = 0;

    out[0] = 0;
    switch (o->type) {
    case OPT_INT:
        if (!bounded(o) || (double)*(const int64_t *)at >= o->min)
            snprintf(out, room, " (default %lld)", (long long)*(const int64_t *)at);
        break;
    case OPT_REAL:
        snprintf(out, room, " (default %g)", *(const double *)at);
        break;
    case OPT_SIZE:
        for (size = *(const uint64_t *)at; size && size % 1024 == 0 && unit < 3; unit++)
            size /= 1024;
        snprintf(out, room, " (default %llu%.1s)", (unsigned long long)size, &"\0KMG"[unit]);
        break;
    case OPT_TEXT:
        text = *(const char *const *)at;
        if (text && *text)
            snprintf(out, room, " (default %s)", text);
        break;
    case OPT_CHOICE:
        text = choice_text(o->choices, *(const int *)at, &n);
        if (n)
            snprintf(out, room, " (default %.*s)", (int)n, text);
        break;
    case OPT_FLAG:
    case OPT_TEXTS:
        break;
    }
}

static void put_option(FILE *f, const struct opt *o, const void *values)
{
    char left[96], help[1024], def[160];
    int at;

    default_text(o, values, def, sizeof def);
    snprintf(left, sizeof left, "  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    snprintf(help, sizeof help, "%s%s%s%s", o->help, o->type == OPT_CHOICE ? ": " : "",
             o->type == OPT_CHOICE ? o->choices : "", def);
    at = fprintf(f, "%s", left);
    if (at >= HELP_COLUMN) {
        fputc('\n', f);
        at = 0;
    }
    fprintf(f, "%*s", HELP_COLUMN - at, "");
    put_wrapped(f, help, HELP_COLUMN, HELP_COLUMN);
}

static void put_help(FILE *f, const struct opt_spec *s, const void *values)
{
    static const struct opt own[] = {
        {"help", OPT_FLAG, 0, NULL, "Show this help", 0, 0, NULL},
        {"version", OPT_FLAG, 0, NULL, "Show the version", 0, 0, NULL}};

    fprintf(f, "Usage: %s %s\n", s->command, s->usage ? s->usage : "[options]");
    put_wrapped(f, s->about, 0, 0);
    fprintf(f, "\nOptions:\n");
    for (const struct opt *o = s->table; o && o->name; o++)
        put_option(f, o, values);
    for (size_t i = 0; i < 2; i++)
        put_option(f, &own[i], values);
    if (s->notes)
        fprintf(f, "\n%s%s", s->notes,
                *s->notes && s->notes[strlen(s->notes) - 1] == '\n' ? "" : "\n");
}

/* One "--name[=value]"; *used says how many of argv it took. */
static int parse_option(const struct opt_spec *s, void *values, char *seen, int argc, char **argv,
                        int at, int *used, struct err *e)
{
    const char *name = argv[at] + 2, *eq = strchr(name, '='), *value = eq ? eq + 1 : NULL;
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    const struct opt *o = find(s->table, name, n);

    *used = 1;
    if (!o)
        return err_set(e, ERR_USE, "unknown option '--%.*s' (see %s --help)", (int)n, name,
                       s->command);
    if (seen[o - s->table] && o->type != OPT_TEXTS)
        return err_set(e, ERR_USE, "--%s is given twice", o->name);
    seen[o - s->table] = 1;
    if (o->type == OPT_FLAG) {
        if (value)
            return err_set(e, ERR_USE, "--%s takes no value", o->name);
    } else if (!value) {
        if (at + 1 >= argc)
            return err_set(e, ERR_USE, "--%s needs a value", o->name);
        value = argv[at + 1];
        *used = 2;
    }
    return set_value(o, values, value, e);
}

static int add_arg(const struct opt_spec *s, struct opt_args *args, const char *arg, struct err *e)
{
    if (!args || args->count >= s->args_max || args->count >= OPT_ARGS_MAX)
        return err_set(e, ERR_USE, "unexpected argument '%s' (see %s --help)", arg, s->command);
    args->arg[args->count++] = arg;
    return 0;
}

/* --help and --version win over whatever else is wrong with the line; a value of an option is
 * not taken for one. */
static int asked(const struct opt_spec *s, int argc, char **argv, const char *what)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        const struct opt *o = NULL;

        if (!strcmp(argv[i], what))
            return 1;
        if (!strncmp(argv[i], "--", 2))
            o = find(s->table, argv[i] + 2, strlen(argv[i] + 2));
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

int opt_parse(const struct opt_spec *spec, void *values, struct opt_args *args, int argc,
              char **argv, struct err *e)
{
    char *seen;
    int rc = -1, literal = 0;

    if (args)
        args->count = 0;
    if (asked(spec, argc, argv, "--help")) {
        put_help(stdout, spec, values);
        return finish_show(e);
    }
    if (asked(spec, argc, argv, "--version")) {
        printf("%s %s\n", spec->command, PTQ_VERSION);
        return finish_show(e);
    }
    seen = mem_array(table_size(spec->table) + 1, 1, e);
    if (!seen)
        return -1;
    for (int i = 1, used; i < argc; i += used) {
        used = 1;
        if (!literal && !strcmp(argv[i], "--")) {
            literal = 1;
        } else if (!literal && !strncmp(argv[i], "--", 2)) {
            if (parse_option(spec, values, seen, argc, argv, i, &used, e) < 0)
                goto out;
        } else if (!literal && argv[i][0] == '-' && argv[i][1]) {
            err_set(e, ERR_USE, "unknown option '%s' (see %s --help)", argv[i], spec->command);
            goto out;
        } else if (add_arg(spec, args, argv[i], e) < 0) {
            goto out;
        }
    }
    if ((args ? args->count : 0) < spec->args_min) {
        err_set(e, ERR_USE, "an argument is missing: %s %s", spec->command,
                spec->usage ? spec->usage : "");
        goto out;
    }
    rc = 0;
out:
    free(seen);
    return rc;
}
