/* SPDX-License-Identifier: Apache-2.0 */
/* opt_help - the help text of options, from the same rows that they are parsed by. */
#include "opt.h"

#include <string.h>

#define WIDTH 80
#define HELP_COLUMN 26

void opt_print_text(FILE *f, const char *text, int at, int indent)
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

static const char *choice_of(const struct opt *o, int value)
{
    const char *one;
    int v;

    for (size_t i = 0; (one = opt_choice_at(o, i, &v)); i++)
        if (v == value)
            return one;
    return NULL;
}

/* " (default 4)" or an empty text. */
static void default_text(const struct opt *o, const void *values, char *out, size_t room)
{
    const void *at = (const char *)values + o->offset;
    const char *text = NULL;
    uint64_t size;
    int64_t number;
    int unit = 0;

    out[0] = 0;
    switch (o->type) {
    case OPT_INT:
        number = *(const int64_t *)at;
        if ((o->min >= 0 && o->min <= 0 && o->max <= 0) || (double)number >= o->min)
            snprintf(out, room, " (default %lld)", (long long)number);
        return;
    case OPT_REAL:
        snprintf(out, room, " (default %g)", *(const double *)at);
        return;
    case OPT_SIZE:
        for (size = *(const uint64_t *)at; size && size % 1024 == 0 && unit < 3; unit++)
            size /= 1024;
        snprintf(out, room, " (default %llu%.1s)", (unsigned long long)size, &"\0KMG"[unit]);
        return;
    case OPT_TEXT:
        text = *(const char *const *)at;
        break;
    case OPT_CHOICE:
        text = choice_of(o, *(const int *)at);
        break;
    case OPT_FLAG:
    case OPT_TEXTS:
        break;
    }
    if (text && *text)
        snprintf(out, room, " (default %.100s)", text);
    else if (o->must)
        snprintf(out, room, " (must be given)");
    else if (o->type == OPT_TEXTS)
        snprintf(out, room, " (may be repeated)");
}

static void choices_text(const struct opt *o, char *out, size_t room)
{
    const char *one;
    size_t n = 0;
    int v;

    out[0] = 0;
    if (o->type != OPT_CHOICE && !o->nth)
        return;
    for (size_t i = 0; (one = opt_choice_at(o, i, &v)) && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s%s", i ? "|" : ": ", one);
}

static void print_row(FILE *f, const struct opt *o, const void *values)
{
    char left[96], help[1400], def[160], choices[256];
    int at;

    default_text(o, values, def, sizeof def);
    choices_text(o, choices, sizeof choices);
    snprintf(left, sizeof left, "  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    snprintf(help, sizeof help, "%.900s%s%s", o->help, choices, def);
    at = fprintf(f, "%s", left);
    if (at >= HELP_COLUMN) {
        fputc('\n', f);
        at = 0;
    }
    fprintf(f, "%*s", HELP_COLUMN - at, "");
    opt_print_text(f, help, HELP_COLUMN, HELP_COLUMN);
}

void opt_print(FILE *f, const struct opt_group *group, int (*drop)(void *ctx, const char *name),
               void *ctx)
{
    int said = 0;

    for (const struct opt *o = group->rows; o && o->name; o++) {
        if (drop && drop(ctx, o->name))
            continue;
        if (!said++ && (!group->title || *group->title))
            fprintf(f, "\n%s:\n", group->title ? group->title : "Options");
        print_row(f, o, group->values);
    }
}

void opt_print_help(FILE *f, const struct opt_spec *s)
{
    fprintf(f, "Usage: %s %s\n", s->command, s->usage ? s->usage : "[options]");
    opt_print_text(f, s->about, 0, 0);
    for (size_t g = 0; g < s->ngroups; g++)
        opt_print(f, &s->group[g], NULL, NULL);
    fputs("  -h, --help              Show this help\n"
          "  -V, --version           Show the version\n",
          f);
    if (s->notes)
        fprintf(f, "\n%s%s", s->notes,
                *s->notes && s->notes[strlen(s->notes) - 1] == '\n' ? "" : "\n");
}
