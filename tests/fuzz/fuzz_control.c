/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_control - what a client may send to the control socket of a run, cut where the first byte
 * says: each line gets an answer, which is an object with "ok". No process is started: those of
 * the elastic stage have ended, and the plan has no room for more. The words of a "swap" also go
 * to a plan that has room. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/base/mem.h"
#include "../../pipelines/crew.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of so many answers none is lost to a client that does not read: a socket takes some 270 small
 * messages, and who lets them lie longer is forgotten (control.h). */
enum { INPUT_MAX = 8192, UNREAD_MAX = 200 };

static char dir[] = "/tmp/ptq-fuzz-XXXXXX";
static char name_write[] = "write", name_solve[] = "solve", path[] = "fuzz.pipe",
            program[] = "ptq-solve", option[] = "--in", value[] = "ipc:///tmp/problems",
            *argv_solve[] = {program, option, value, NULL};
static struct recipe_stage stage[2] = {{.name = name_write},
                                       {.name = name_solve, .elastic = 1, .count = 1}};
static struct recipe recipe = {.path = path, .nstages = 2, .stage = stage};
static struct launch_process process[2] = {
    {.stage = 0, .label = name_write, .argc = 3, .argv = argv_solve},
    {.stage = 1, .label = name_solve, .argc = 3, .argv = argv_solve, .elastic = 1}};

static char *copy(const char *text)
{
    char *c = mem_text(text, NULL);

    return c ? c : (abort(), NULL);
}

/* As crew.c would, with a plan that takes one more. */
static void add(const struct json *request)
{
    const struct json *list = json_get(request, "command");
    const char *word[64];
    struct launch *p = calloc(1, sizeof *p);
    struct err e = {0};
    size_t n = json_count(list);

    if (!p || !(p->process = calloc(2, sizeof *p->process)))
        abort();
    *p = (struct launch){.count = 1, .room = 2, .process = p->process};
    p->process[0] = (struct launch_process){.stage = 1, .argc = 3, .label = copy(name_solve)};
    if (!(p->process[0].argv = calloc(4, sizeof(char *))))
        abort();
    for (size_t i = 0; i < 3; i++)
        p->process[0].argv[i] = copy(argv_solve[i]);
    for (size_t i = 0; i < n && i < 64; i++)
        if (!(word[i] = json_as_text(json_at(list, i))) || !*word[i])
            n = 0;
    if (n && n <= 64) {
        int at = launch_add(p, &recipe, 0, n, word, "/tmp", &e);

        if (at < 0 ? !e.kind : !p->process[at].program || p->process[at].argv[p->process[at].argc])
            abort();
    }
    launch_destroy(&p);
}

static size_t requests;

static void handle(void *ctx, uint64_t client, const struct json *request)
{
    requests++;
    crew_request(ctx, client, request);
    add(request);
}

/* What came back: whole lines, each an object that says whether it went well. */
static size_t answers(int fd)
{
    static char text[1 << 20];
    size_t n = 0, lines = 0;
    ssize_t got;
    char *at = text, *end;

    while (n < sizeof text && (got = recv(fd, text + n, sizeof text - n, MSG_DONTWAIT)) > 0)
        n += (size_t)got;
    for (; (end = memchr(at, '\n', n - (size_t)(at - text))); at = end + 1, lines++) {
        struct json *j = json_parse(at, (size_t)(end - at), "answer", NULL);
        int ok;

        if (json_as_bool(json_get(j, "ok"), &ok) != 0)
            abort();
        json_destroy(&j);
    }
    if (at != text + n)
        abort();
    return lines;
}

static void turn(struct supervise *s)
{
    struct pollfd p[CONTROL_FDS];

    control_poll(s->control, p);
    if (poll(p, CONTROL_FDS, 0) > 0)
        control_serve(s->control, p, handle, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct launch plan = {.count = 2, .room = 2, .process = process};
    struct child child[2] = {{.plan = &process[0], .exited = 1},
                             {.plan = &process[1], .exited = 1, .joined = 1}};
    struct supervise s = {.plan = &plan, .recipe = &recipe, .run_dir = dir, .child = child};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct err e = {0};
    size_t cut, lines = 0, got = 0;
    int fd;

    if (size < 1 || size > INPUT_MAX)
        return 0;
    if (dir[sizeof dir - 2] == 'X' && !mkdtemp(dir))
        abort();
    if (!(s.control = control_open(dir, &e)))
        abort();
    snprintf(a.sun_path, sizeof a.sun_path, "%s/" CONTROL_NAME, dir);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        abort();
    cut = 1 + data[0] * (size - 1) / 255;
    turn(&s);
    for (size_t from = 1; from < size; from = cut, cut = size) {
        if (cut > from && send(fd, data + from, cut - from, MSG_NOSIGNAL) < 0)
            break; /* forgotten: lines are without an answer */
        turn(&s);
        got += answers(fd);
    }
    for (size_t i = 1; i < size; i++)
        lines += data[i] == '\n';
    if (got > lines || (got < lines && lines <= UNREAD_MAX))
        abort();
    close(fd);
    turn(&s);
    control_close(&s.control);
    return 0;
}
