/* SPDX-License-Identifier: Apache-2.0 */
/* complete - see complete.h. The words before the one at the cursor are walked through as the
 * command itself would take them, only that what is wrong with them is not said. */
#include "complete.h"

#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../ops/tools/plan/plan_opts.h"
#include "commands.h"
#include "ctl.h"
#include "line.h"
#include "route.h"
#include "run.h"
#include "shelf.h"
#include "specs.h"

struct line {
    FILE *f;
    size_t n; /* words before the one at the cursor */
    const char *const *before;
    const char *word;
};

/* Where the options of a command stand; words of the line may belong to a route as well. */
struct source {
    const struct opt_group *group;
    size_t ngroups;
    const struct route *route; /* may be NULL */
    int program;               /* has --version */
};

/* head + word, which what stands at the cursor must begin. */
static void offer(const struct line *x, const char *head, const char *word, const char *tail,
                  const char *help)
{
    char text[512];
    const int n = snprintf(text, sizeof text, "%s%s%s", head, word, tail);

    if (n > 0 && (size_t)n < sizeof text && strncmp(text, x->word, strlen(x->word)) == 0)
        fprintf(x->f, "%s\t%.*s\n", text, (int)strcspn(help, "\n"), help);
}

static void offer_files(const struct line *x, int folders)
{
    fputs(folders ? ":folders\n" : ":files\n", x->f);
}

/* ---- one option ---- */

struct sought {
    const char *name, *stage; /* stage: NULL: --NAME */
    size_t n, nstage;
    const struct opt *row;
    int found, flag;
};

static void seek(void *ctx, const struct route_choice *c)
{
    struct sought *s = ctx;
    const int here = s->stage ? c->stage && strlen(c->stage) == s->nstage &&
                                    memcmp(c->stage, s->stage, s->nstage) == 0
                              : !c->again;

    if (s->found || !here || strlen(c->name) != s->n || memcmp(c->name, s->name, s->n) != 0)
        return;
    s->found = 1;
    s->row = c->row;
    s->flag = c->var ? c->var->is_flag : c->row->type == OPT_FLAG;
}

/* Of "--NAME", "--STAGE.NAME" and these with a value. */
static struct sought option_find(const struct source *from, const char *word)
{
    const char *name = word + 2, *dot;
    struct sought s = {.name = name, .n = strcspn(name, "=")};

    s.row = opt_find(from->group, from->ngroups, name, s.n, NULL);
    if (s.row) {
        s.found = 1;
        s.flag = s.row->type == OPT_FLAG;
    } else if (from->route) {
        if ((dot = memchr(name, '.', s.n))) {
            s.stage = name;
            s.nstage = (size_t)(dot - name);
            s.name = dot + 1;
            s.n -= s.nstage + 1;
        }
        route_each(from->route, seek, &s);
    }
    return s;
}

/* Is it there already, and would a second one be refused? */
static int spent(const struct line *x, const char *stage, const char *name, int many)
{
    char text[256];
    const size_t n =
        (size_t)snprintf(text, sizeof text, "--%s%s%s", stage ? stage : "", stage ? "." : "", name);

    for (size_t i = 0; i < x->n && !many; i++)
        if (strncmp(x->before[i], text, n) == 0 && (!x->before[i][n] || x->before[i][n] == '='))
            return 1;
    return 0;
}

static void offer_rows(const struct line *x, const struct opt *rows)
{
    for (const struct opt *o = rows; o && o->name; o++)
        if (!spent(x, NULL, o->name, o->type == OPT_TEXTS))
            offer(x, "--", o->name, "", o->help);
}

/* --NAME of each choice; those of one stage alone once its name stands there. */
static void offer_choice(void *ctx, const struct route_choice *c)
{
    const struct line *x = ctx;
    const int many = c->var ? c->var->is_list : c->row->type == OPT_TEXTS;
    const char *help = c->var ? c->var->help : c->row->help;
    char head[96];

    if (!c->again && !spent(x, NULL, c->name, many))
        offer(x, "--", c->name, "", help);
    if (!c->stage || spent(x, c->stage, c->name, many))
        return;
    snprintf(head, sizeof head, "--%s.", c->stage);
    if (strncmp(x->word, head, strlen(head)) == 0)
        offer(x, head, c->name, "", help);
}

static void offer_options(const struct line *x, const struct source *from)
{
    const struct route *t = from->route;
    struct line copy = *x;

    for (size_t g = 0; g < from->ngroups; g++)
        offer_rows(x, from->group[g].rows);
    if (t)
        route_each(t, offer_choice, &copy);
    for (size_t i = 0; t && i < t->r->nstages; i++)
        if (t->stage[i] && !strchr(x->word, '.'))
            offer(x, "--", t->r->stage[i].name, ".", "an option of this stage alone");
    offer(x, "--", "help", "", "show the help");
    if (from->program)
        offer(x, "--", "version", "", "show the version");
}

/* ---- the value of one ---- */

/* Of a text that has names, several may follow each other: gptq,dense; best:gptq,qep+rtn. */
static size_t names_before(const char *value)
{
    size_t n = 0;

    for (size_t i = 0; value[i]; i++)
        if (strchr(",:+", value[i]))
            n = i + 1;
    return n;
}

static void offer_value(const struct line *x, const struct sought *s, const char *value)
{
    const struct opt *o = s->row;
    const char *one;
    char head[256];
    size_t n = (size_t)(value - x->word);
    int v;

    if (!o || (!o->nth && o->type == OPT_TEXT) || o->type == OPT_TEXTS) {
        offer_files(x, o && o->arg && strcmp(o->arg, "DIR") == 0);
        return;
    }
    if (!o->nth && !o->choices)
        return;
    n += o->type == OPT_TEXT ? names_before(value) : 0;
    snprintf(head, sizeof head, "%.*s", (int)n, x->word);
    for (size_t i = 0; (one = opt_choice_at(o, i, &v)); i++)
        offer(x, head, one, "", "");
}

/* ---- lines ---- */

struct walk {
    size_t words;              /* that are no option */
    const struct sought *open; /* option that the word at the cursor is the value of */
    struct sought last;
    int literal; /* behind -- */
};

/* `from` is of one command throughout. */
static void walk(const struct line *x, const struct source *from, struct walk *w)
{
    *w = (struct walk){.words = 0};
    for (size_t i = 0; i < x->n; i++) {
        const char *word = x->before[i];

        w->open = NULL;
        if (w->literal || strncmp(word, "--", 2) != 0) {
            w->words++;
        } else if (!word[2]) {
            w->literal = 1;
        } else {
            w->last = option_find(from, word);
            if (!w->last.found || w->last.flag || strchr(word, '='))
                continue;
            if (++i == x->n)
                w->open = &w->last;
        }
    }
}

/* An option or its value at the cursor: 1. */
static int complete_option(const struct line *x, const struct source *from, const struct walk *w)
{
    const char *eq = strncmp(x->word, "--", 2) == 0 ? strchr(x->word, '=') : NULL;
    struct sought s;

    if (w->open) {
        offer_value(x, w->open, x->word);
        return 1;
    }
    if (w->literal || x->word[0] != '-')
        return 0;
    if (eq) {
        s = option_find(from, x->word);
        if (s.found && !s.flag)
            offer_value(x, &s, eq + 1);
    } else {
        offer_options(x, from);
    }
    return 1;
}

/* What a program takes beside options is files, if anything. */
static void complete_program(const struct line *x, const struct stage_spec *spec)
{
    struct stage *s = stage_open(spec, NULL);
    struct source from;
    struct walk w;

    if (!s)
        return;
    from = (struct source){s->group, s->ngroups, NULL, 1};
    walk(x, &from, &w);
    if (complete_option(x, &from, &w))
        goto out;
    if (w.words < spec->args_max)
        offer_files(x, 0);
    else if (!x->word[0])
        offer_options(x, &from);
out:
    stage_close(&s);
}

static void offer_name(void *ctx, const char *name, const char *about)
{
    offer(ctx, "", name, "", about);
}

static void offer_recipes(struct line *x)
{
    shelf_each(offer_name, x, NULL);
    offer_files(x, 0);
}

/* Behind the recipe. */
static void complete_route(const struct line *x, const struct opt_group *group, size_t ngroups,
                           const char *name)
{
    struct recipe *r = shelf_open(name, 0, NULL);
    struct route t = {.stage = NULL};
    const struct source from = {group, ngroups, &t, 0};
    struct walk w;

    if (r && route_open(&t, r, NULL) == 0) {
        walk(x, &from, &w);
        if (!complete_option(x, &from, &w) && !x->word[0])
            offer_options(x, &from);
    }
    if (r)
        route_close(&t);
    recipe_destroy(&r);
}

static void complete_run(struct line *x, const char *recipe)
{
    const struct opt_group own[] = {{NULL, run_rows, NULL}, {"", line_rows, NULL}};

    if (!recipe && x->n == 0 && x->word[0] == '-')
        offer(x, "--", "help", "", "show the help");
    else if (!recipe && x->n == 0)
        offer_recipes(x);
    else
        complete_route(recipe ? x : &(struct line){x->f, x->n - 1, x->before + 1, x->word}, own,
                       sizeof own / sizeof *own, recipe ? recipe : x->before[0]);
}

/* Its recipe may be left out. */
static void complete_plan(struct line *x)
{
    struct stage *s = stage_open(&plan_spec, NULL);
    const int named = x->n > 0 && x->before[0][0] != '-';

    if (!s)
        return;
    if (x->n == 0 && x->word[0] != '-')
        offer_recipes(x);
    else
        complete_route(&(struct line){x->f, x->n - (size_t)named, x->before + named, x->word},
                       s->group, s->ngroups, named ? x->before[0] : "gptq");
    stage_close(&s);
}

static void complete_ctl(const struct line *x, int top)
{
    const struct opt_group group = {NULL, ctl_rows, NULL};
    const struct source from = {&group, 1, NULL, 0};
    struct walk w;

    walk(x, &from, &w);
    if (complete_option(x, &from, &w))
        return;
    for (const struct ctl_command *c = ctl_commands; c->name && !top && !w.words; c++)
        offer(x, "", c->name, "", c->about);
}

static void complete_command(const struct line *x)
{
    for (const struct command *c = commands; c->name; c++)
        offer(x, "", c->name, "", c->about);
}

static void complete_shells(const struct line *x)
{
    offer(x, "", "bash", "", "a function to source, or for share/bash-completion/completions");
    offer(x, "", "zsh", "", "a function to source, or _ptq in a folder of fpath");
}

static void complete_ptq(struct line *x, const char *command)
{
    char program[80];
    const struct stage_spec *spec;

    snprintf(program, sizeof program, "ptq-%s", command);
    if (strcmp(command, "run") == 0)
        complete_run(x, NULL);
    else if (strcmp(command, "resolve") == 0) /* the recipe of that name */
        complete_run(x, command);
    else if (strcmp(command, "plan") == 0)
        complete_plan(x);
    else if (strcmp(command, "ctl") == 0 || strcmp(command, "top") == 0)
        complete_ctl(x, command[0] == 't');
    else if (strcmp(command, "help") == 0 && x->n == 0)
        complete_command(x);
    else if (strcmp(command, "completion") == 0 && x->n == 0)
        complete_shells(x);
    else if ((spec = specs_find(program)))
        complete_program(x, spec);
}

void complete_words(FILE *f, size_t n, const char *const *words)
{
    const char *slash = n ? strrchr(words[0], '/') : NULL, *name = slash ? slash + 1 : words[0];
    struct line x = {f, 0, words + 1, n > 1 ? words[n - 1] : ""};

    if (n < 2)
        return;
    if (strncmp(name, "ptq-", 4) == 0) {
        x.n = n - 2;
        complete_ptq(&x, name + 4);
    } else if (n == 2) {
        complete_command(&x);
        offer(&x, "--", "help", "", "list the commands");
        offer(&x, "--", "version", "", "show the version");
        offer(&x, "", "help", "", "say what a command takes");
    } else {
        x.n = n - 3;
        x.before++;
        complete_ptq(&x, words[1]);
    }
}

static void usage(FILE *f)
{
    fputs("Usage: ptq completion bash|zsh\n"
          "       ptq completion words COMMAND [WORD...] WORD\n"
          "Prints a function that completes lines of ptq and its programs in a shell:\n\n"
          "  bash                    eval \"$(ptq completion bash)\" in ~/.bashrc\n"
          "  zsh                     eval \"$(ptq completion zsh)\" in ~/.zshrc, after compinit\n\n"
          "'make install' puts both where shells look for them. The function asks 'ptq completion\n"
          "words' what the last of the words of a line may become.\n",
          f);
}

int complete_main(int argc, char **argv)
{
    struct err e = {0};

    if (argc > 2 && strcmp(argv[1], "words") == 0)
        complete_words(stdout, (size_t)argc - 2, (const char *const *)argv + 2);
    else if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        usage(stdout);
    else if (argc != 2 || complete_shell(stdout, argv[1]) < 0)
        err_set(&e, ERR_USE, "say 'ptq completion bash' or 'ptq completion zsh'");
    if (e.kind != ERR_NONE || fs_flush(stdout, &e) < 0)
        log_fatal(&e);
    return err_exit(&e);
}
