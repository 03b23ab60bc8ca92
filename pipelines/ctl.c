/* SPDX-License-Identifier: Apache-2.0 */
/* ctl - finding the run, one request, its answers. */
#include "ctl.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "../common/base/err.h"
#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/base/sig.h"
#include "../common/base/term.h"
#include "control.h"
#include "rundir.h"

#define ANSWER_BYTES ((size_t)16 << 20)
#define REFRESH_MS 1000
#define PAGE_COLUMNS 80 /* where no terminal says how wide it is */

struct ctl {
    const char *out, *run;
    int64_t wait; /* 0: as long as the run thinks right */
    int json, fd;
    FILE *from; /* answers, line by line */
};

#define AT(field) offsetof(struct ctl, field)
const struct opt ctl_rows[] = {
    {"out", OPT_TEXT, AT(out), "DIR",
     .help = "the run that writes to DIR; without --out and --run: the only one going on"},
    {"run", OPT_TEXT, AT(run), "DIR",
     .help = "the run with this folder of sockets, which it says when it starts"},
    {"wait", OPT_INT, AT(wait), "SECONDS",
     .help = "so long new processes may take to join before scale or swap has failed "
             "(default " OPT_NUMBER(CONTROL_WAIT) ")",
     .min = 1, .max = CONTROL_WAIT_MAX},
    {"json", OPT_FLAG, AT(json), .help = "print answers as JSON, one a line"},
    {.name = NULL},
};

const struct ctl_command ctl_commands[] = {
    {"status", "", "its processes: state, CPU, memory, where they are", 1, 1},
    {"top", "", "the same, refreshed every second on a terminal until the run ends, or q", 1, 1},
    {"scale", " STAGE N", "have N processes of an elastic stage", 3, 3},
    {"swap", " STAGE COMMAND",
     "start these in place of the stage's processes; when they have joined, the old ones finish "
     "what they have in hand and leave; options that COMMAND does not give stay as they were, "
     "'--name=' takes one away",
     3, INT_MAX},
    {"pause", "",
     "what makes work rests behind the chunk, problem or step in hand; nothing is lost or given "
     "up, "
     "however long that takes",
     1, 1},
    {"resume", "", "the run goes on", 1, 1},
    {"drain", " HOST", "the workers of that name leave, as by SIGTERM; returns when they have", 2,
     2},
    {"stop", "", "end the run: stages finish what they have in hand", 1, 1},
    {NULL, NULL, NULL, 0, 0},
};

static void usage(FILE *f)
{
    static struct ctl none;

    fputs("Usage: ptq ctl [options] COMMAND\n"
          "       ptq top [options]\n"
          "Looks at a run of 'ptq run' that is going on, or changes it.\n\n",
          f);
    for (const struct ctl_command *x = ctl_commands; x->name; x++) {
        char left[32];

        snprintf(left, sizeof left, "%s%s", x->name, x->rest);
        fprintf(f, "  %-19s ", left);
        opt_print_text(f, x->about, 22, 22);
    }
    opt_print(f, &(struct opt_group){NULL, ctl_rows, &none}, NULL, NULL);
    fputs("  -h, --help              Show this help\n\n"
          "Example: ptq ctl --out w4 swap solve \"ptq-solve --solver rtn\"\n"
          "Environment: XDG_RUNTIME_DIR, else /tmp, is where runs are looked for.\n"
          "Exit: 0 done, 1 the run said no, 100 wrong use or no such run, 111 the system failed.\n",
          f);
}

static int dial_named(const struct ctl *c, struct err *e)
{
    char *path = c->run ? mem_printf(e, "%s/" CONTROL_NAME, c->run)
                        : mem_printf(e, "%s/.ptqflow/" CONTROL_NAME, c->out);
    int fd = path ? control_dial(path) : -1;

    if (path && fd < 0)
        err_set(e, ERR_USE, "no run is going on %s '%s' (%s: %s)", c->run ? "in" : "that writes to",
                c->run ? c->run : c->out, path, strerror(errno));
    free(path);
    return fd;
}

/* The only run that answers among those of this user. */
static int dial_only(struct err *e)
{
    const char *base = rundir_base();
    char **names = NULL;
    size_t count = 0, runs = 0;
    int fd = -1;

    if (fs_list(base, &names, &count, e) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char *path = strncmp(names[i], "ptq-", 4) == 0
                         ? mem_printf(e, "%s/%s/" CONTROL_NAME, base, names[i])
                         : NULL;
        int one = path ? control_dial(path) : -1;

        free(path);
        if (one < 0)
            continue;
        if (runs++)
            close(one);
        else
            fd = one;
    }
    fs_names_free(&names, count);
    if (runs == 1)
        return fd;
    if (fd >= 0)
        close(fd);
    return runs ? err_set(e, ERR_USE,
                          "%zu runs are going on: say which with --out OUT or --run DIR", runs)
                : err_set(e, ERR_USE, "no run is going on in %s", base);
}

static int ask(struct ctl *c, struct json **request, struct err *e)
{
    char *text = *request ? json_print(*request, 0, e) : NULL,
         *line = text ? mem_printf(e, "%s\n", text) : NULL;
    int rc = -1;

    json_destroy(request);
    if (!line)
        err_set(e, ERR_SYS, "no memory for the request");
    else if (send(c->fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line))
        rc = 0;
    else
        err_sys(e, "cannot ask the run");
    free(line);
    free(text);
    return rc;
}

/* The next line; NULL when there is none. */
static struct json *answer(struct ctl *c, struct err *e)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n = getline(&line, &room, c->from);
    struct json *j = NULL;

    if (n > 0 && (size_t)n <= ANSWER_BYTES)
        j = json_parse(line, (size_t)n, "answer", e);
    else
        err_set(e, ERR_SYS, "the run has ended, or turned us away, before it answered");
    if (j && c->json && fputs(line, stdout) < 0)
        json_destroy(&j);
    free(line);
    return j;
}

/* Events, then the answer itself, which must be "ok". */
static struct json *conclude(struct ctl *c, struct err *e)
{
    struct json *j;
    const char *text;
    int64_t code = ERR_SYS;
    int ok;

    while ((j = answer(c, e)) && (text = json_as_text(json_get(j, "event")))) {
        if (!c->json)
            printf("%s\n", text);
        fflush(stdout);
        json_destroy(&j);
    }
    if (!j)
        return NULL;
    if (json_opt_bool(j, "ok", 0, &ok, "answer", e) == 0 && ok)
        return j;
    text = json_as_text(json_get(j, "error"));
    json_as_int(json_get(j, "code"), &code);
    err_set(e,
            code == ERR_DATA  ? ERR_DATA
            : code == ERR_USE ? ERR_USE
                              : ERR_SYS,
            "%s", text ? text : "refused without a reason");
    json_destroy(&j);
    return NULL;
}

static struct json *request_new(const char *cmd)
{
    struct json *j = json_new_object();

    if (json_set_text(j, "cmd", cmd) != 0)
        json_destroy(&j);
    return j;
}

static struct json *status_ask(struct ctl *c, struct err *e)
{
    struct json *request = request_new("status");

    return ask(c, &request, e) == 0 ? conclude(c, e) : NULL;
}

static size_t columns(void)
{
    const size_t n = term_columns(STDOUT_FILENO);

    return n ? n : PAGE_COLUMNS;
}

static int status(struct ctl *c, struct err *e)
{
    struct json *now = status_ask(c, e);
    int rc = now ? 0 : -1;

    if (now && !c->json)
        ctl_table(stdout, now, NULL, columns());
    json_destroy(&now);
    return rc;
}

/* Keys come one by one and are not shown; 1, and what was so before, where there is a keyboard. */
static int keys_open(struct termios *was)
{
    struct termios t;

    if (tcgetattr(STDIN_FILENO, was) < 0)
        return 0;
    t = *was;
    t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    return tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

/* Waits for the next look at the run; 1: q, or a signal. */
static int asked_to_end(int keys)
{
    struct pollfd p[] = {{.fd = sig_fd(), .events = POLLIN},
                         {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN}};
    char key = 0;

    if (poll(p, 2, REFRESH_MS) <= 0)
        return sig_draining();
    return p[0].revents || (p[1].revents && (read(STDIN_FILENO, &key, 1) < 1 || key == 'q'));
}

/* Until the run ends, which is no error, or who looks has seen enough. */
static int refresh(struct ctl *c, int keys, struct err *e)
{
    struct json *before = NULL, *now;
    int enough = 0;

    while (!enough && (now = status_ask(c, e))) {
        fputs("\033[H\033[J", stdout);
        ctl_table(stdout, now, before, columns());
        fflush(stdout);
        json_destroy(&before);
        before = now;
        enough = asked_to_end(keys);
    }
    if (!before)
        return -1;
    json_destroy(&before);
    if (!enough)
        puts("the run has ended");
    return 0;
}

static int top(struct ctl *c, struct err *e)
{
    struct termios was;
    int keys, rc;

    if (c->json || !isatty(STDOUT_FILENO))
        return status(c, e);
    if (sig_init_print(e) < 0)
        return -1;
    keys = keys_open(&was);
    rc = refresh(c, keys, e);
    if (keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &was);
    return rc;
}

/* Words of a command line as a shell would cut it, with '...' and "..." but without expansions.
 * Pushes them to list. */
static int words_push(struct json *list, const char *s, struct err *e)
{
    char *word = mem_array(strlen(s) + 1, 1, e);
    int rc = word ? 0 : -1;

    while (rc == 0 && *(s += strspn(s, " \t\n"))) {
        char quote = 0;
        size_t n = 0;

        for (; *s && (quote || !strchr(" \t\n", *s)); s++) {
            if (quote ? *s == quote : *s == '\'' || *s == '"')
                quote = quote ? 0 : *s;
            else
                word[n++] = *s;
        }
        if (quote)
            rc = err_set(e, ERR_USE, "the command has a quote %c that does not close", quote);
        else if (json_push(list, json_new_text_n(word, n)) != 0)
            rc = err_set(e, ERR_SYS, "no memory for the request");
    }
    free(word);
    return rc;
}

static struct json *swap_request(int argc, char **argv, struct err *e)
{
    struct json *j = request_new("swap"), *list = json_new_array();
    int bad = json_set_text(j, "stage", argv[1]), rc = 0;

    if (argc == 3)
        rc = words_push(list, argv[2], e);
    else
        for (int i = 2; i < argc && !bad; i++)
            bad = json_push(list, json_new_text(argv[i]));
    bad = json_set(j, "command", list) || bad;
    if (bad && rc == 0)
        err_set(e, ERR_SYS, "no memory for the request");
    if (bad || rc)
        json_destroy(&j);
    return j;
}

static struct json *scale_request(char **argv, struct err *e)
{
    struct json *j;
    char *end;
    long n = strtol(argv[2], &end, 10);

    if (!*argv[2] || *end || n < 1 || n > 1024) {
        err_set(e, ERR_USE, "scale: '%.40s' is not a number from 1 to 1024", argv[2]);
        return NULL;
    }
    j = request_new("scale");
    if (json_set_text(j, "stage", argv[1]) || json_set_int(j, "count", n)) {
        err_set(e, ERR_SYS, "no memory for the request");
        json_destroy(&j);
    }
    return j;
}

/* --wait, for what starts processes. */
static int wait_put(const struct ctl *c, struct json **request, struct err *e)
{
    if (!c->wait || !*request || json_set_int(*request, "wait", c->wait) == 0)
        return 0;
    json_destroy(request);
    return err_set(e, ERR_SYS, "no memory for the request");
}

static int change(struct ctl *c, struct json **request, struct err *e)
{
    struct json *j =
        wait_put(c, request, e) == 0 && *request && ask(c, request, e) == 0 ? conclude(c, e) : NULL;
    const char *text = json_as_text(json_get(j, "text"));
    int rc = j ? 0 : -1;

    if (text && !c->json)
        printf("%s\n", text);
    json_destroy(&j);
    return rc;
}

static int check(int argc, char **argv, struct err *e)
{
    char names[128] = "";

    for (const struct ctl_command *x = ctl_commands; x->name; x++) {
        const size_t n = strlen(names);

        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", x->name);
    }
    if (argc < 1)
        return err_set(e, ERR_USE, "what is to be done? (%s)", names);
    for (const struct ctl_command *x = ctl_commands; x->name; x++)
        if (strcmp(argv[0], x->name) == 0)
            return argc >= x->least && argc <= x->most
                       ? 0
                       : err_set(e, ERR_USE, "'%s' goes like this: ptq ctl %s%s", argv[0], argv[0],
                                 x->rest);
    return err_set(e, ERR_USE, "unknown command '%.40s' (%s)", argv[0], names);
}

static int command(struct ctl *c, int argc, char **argv, struct err *e)
{
    struct json *request = NULL;

    if (strcmp(argv[0], "status") == 0)
        return status(c, e);
    if (strcmp(argv[0], "top") == 0)
        return top(c, e);
    if (strcmp(argv[0], "scale") == 0)
        request = scale_request(argv, e);
    else if (strcmp(argv[0], "swap") == 0)
        request = swap_request(argc, argv, e);
    else
        request = request_new(argv[0]);
    if (argc == 2 && json_set_text(request, "host", argv[1]))
        json_destroy(&request);
    return change(c, &request, e);
}

/* An option of ours at argv[0]; returns how many words it took, -1 on misuse. */
static int take_option(struct ctl *c, unsigned *seen, int argc, char **argv, struct err *e)
{
    const struct opt_group group = {NULL, ctl_rows, c};
    const char *eq = strchr(argv[0], '='), *value = eq ? eq + 1 : NULL;
    const size_t n = eq ? (size_t)(eq - argv[0]) : strlen(argv[0]);
    const struct opt *row = n > 2 ? opt_find(&group, 1, argv[0] + 2, n - 2, NULL) : NULL;
    const unsigned bit = row ? 1u << (row - ctl_rows) : 0;
    const int next = row && row->type != OPT_FLAG && !value && argc > 1;

    if (!row)
        return err_set(e, ERR_USE, "unknown option '%.40s' (see ptq ctl --help)", argv[0]);
    if (*seen & bit)
        return err_set(e, ERR_USE, "option '--%s' is given twice", row->name);
    *seen |= bit;
    return opt_set(row, c, row->name, next ? argv[1] : value, e) < 0 ? -1 : 1 + next;
}

/* Options in any place: the words that are left are moved to the front of argv, behind its first;
 * returns how many, -1 on misuse. What stands behind "swap STAGE WORD" belongs to the command that
 * is swapped in, but --json. */
static int options(struct ctl *c, int *help, int argc, char **argv, struct err *e)
{
    unsigned seen = 0;
    int n = 0;

    for (int i = 1, used; i < argc; i += used) {
        const int theirs = n >= 3 && strcmp(argv[1], "swap") == 0;

        used = 1;
        if (strcmp(argv[i], "--json") == 0)
            c->json = 1;
        else if (theirs || (strncmp(argv[i], "--", 2) != 0 && strcmp(argv[i], "-h") != 0))
            argv[++n] = argv[i];
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            *help = 1;
        else if ((used = take_option(c, &seen, argc - i, argv + i, e)) < 0)
            return -1;
    }
    return c->out && c->run ? err_set(e, ERR_USE, "give --out or --run, not both") : n;
}

int ctl_main(int argc, char **argv)
{
    char name[] = "top", *only_top[] = {name, NULL};
    struct ctl c = {.fd = -1};
    struct err e = {0};
    int help = 0, rc = -1, n;

    log_init(strcmp(argv[0], "top") == 0 ? "top" : "ctl", LOG_NORMAL);
    n = options(&c, &help, argc, argv, &e);
    if (n < 0)
        goto out;
    if (help) {
        usage(stdout);
        rc = fs_flush(stdout, &e);
        goto out;
    }
    argc = n == 0 && strcmp(argv[0], "top") == 0 ? 1 : n;
    argv = argc == n ? argv + 1 : only_top;
    if (check(argc, argv, &e) != 0 ||
        (c.fd = c.out || c.run ? dial_named(&c, &e) : dial_only(&e)) < 0)
        goto out;
    if (!(c.from = fdopen(c.fd, "r")))
        err_sys(&e, "cannot read from the run");
    else
        rc = command(&c, argc, argv, &e);
    if (rc == 0)
        rc = fs_flush(stdout, &e);
out:
    if (rc != 0)
        log_fatal(&e);
    if (c.from)
        fclose(c.from);
    else if (c.fd >= 0)
        close(c.fd);
    return rc == 0 ? 0 : err_exit(&e);
}
