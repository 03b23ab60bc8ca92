/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_work - see hosts_work.h. */
#include "hosts_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/wire/msg_expert.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/solve/solve_opts.h"
#include "hosts_state.h"
#include "newest.h"
#include "specs.h"
#include "way.h"
#include "worker_slot.h"

/* Options that say where a worker's process is, or how it runs: said anew, or its own to say.
 * Faults on purpose are those of this host's processes. */
static const char *const of_host[] = {"--threads", "--mem", "--tmp", "--keys", "--fault", NULL};
static const char *const of_forward[] = {"--threads", "--mem",   "--tmp",   "--keys",      "--in",
                                         "--out",     "--fault", "--lease", "--from-site", NULL};
static const char *const of_reduce[] = {
    "--threads", "--mem",   "--tmp",    "--keys",  "--in",    "--out",       "--commits",
    "--overdue", "--peers", "--record", "--fault", "--lease", "--from-site", NULL};
static const char *const of_weigher[] = {"--threads", "--mem",   "--tmp",   "--keys",  "--in",
                                         "--out",     "--peers", "--fault", "--lease", NULL};
#define ROWS "%acts"      /* between the processes of a worker */
#define WEIGHED "%chunks" /* and .1 to the first of its forward processes */

/* ---- what can be said to others ---- */

/* How many words the option at i takes, where it is one of these; 0: it is not. */
static size_t is_among(const char *const *options, const struct launch_process *p, size_t i)
{
    for (; *options; options++) {
        const size_t n = strlen(*options);

        if (strncmp(p->argv[i], *options, n) != 0)
            continue;
        if (!p->argv[i][n])
            return i + 1 < p->argc ? 2 : 1;
        if (p->argv[i][n] == '=')
            return 1;
    }
    return strcmp(p->argv[i], "--insecure") == 0;
}

/* Can a worker be told this command, but for these options? ERR_USE: it names what is here. */
static int words_check(const struct stage *st, const struct launch_process *p,
                       const char *const *without, struct err *e)
{
    const struct opt *row;

    for (size_t i = 1, n; i < p->argc; i += n ? n : 1)
        if (!(n = is_among(without, p, i)) && (row = slot_file_option(st, p->argv[i])))
            return err_set(e, ERR_USE, "--%s names what is on this host", row->name);
    return 0;
}

/* ---- the forward pass of a recipe ---- */

/* The first process, since the run began, of the one stage that runs this program; NULL: there is
 * none, or several. */
static const struct launch_process *sole_of(const struct supervise *s,
                                            const struct stage_spec *spec)
{
    const struct launch_process *found = NULL;

    for (size_t i = s->begun; i < s->plan->count; i++) {
        const struct launch_process *p = &s->plan->process[i];
        const struct stage *st = s->change.route ? s->change.route->stage[p->stage] : NULL;

        if (!st || st->spec != spec)
            continue;
        if (found && found->stage != p->stage)
            return NULL;
        found = found ? found : p;
    }
    return found;
}

const char *hosts_forward_name(const struct supervise *s)
{
    return s->recipe->stage[sole_of(s, &forward_spec)->stage].name;
}

const char *hosts_reduce_name(const struct supervise *s)
{
    return s->recipe->stage[sole_of(s, &reduce_spec)->stage].name;
}

size_t hosts_forward_first(const struct supervise *s)
{
    return (size_t)(sole_of(s, &forward_spec) - s->plan->process);
}

/* By which way chunks come to it; NULL: workers do not weigh them. */
static const struct launch_process *weigher_of(const struct supervise *s)
{
    const size_t f = hosts_forward_first(s);
    const struct launch_process *p;
    struct way w;

    if (!way_find(s, f, &w) || w.weigher == s->plan->count || !w.relayed)
        return NULL;
    p = &s->plan->process[w.weigher];
    return words_check(s->change.route->stage[p->stage], p, of_weigher, NULL) == 0 ? p : NULL;
}

const char *hosts_weigher_name(const struct supervise *s)
{
    const struct launch_process *p = s->hosts->shares.weighs ? weigher_of(s) : NULL;

    return p ? s->recipe->stage[p->stage].name : NULL;
}

const char *hosts_dealt_at(const struct supervise *s, const struct launch_process **own)
{
    *own = s->hosts->shares.weighs ? weigher_of(s) : &s->plan->process[hosts_forward_first(s)];
    return launch_value(*own, "--in");
}

static int is_ipc(const char *end)
{
    return end && strncmp(end, "ipc://", 6) == 0;
}

static int has_experts(const struct supervise *s)
{
    const struct sites *x = s->change.sites;
    size_t i = 0;

    while (x && i < x->count && x->site[i].expert < 0)
        i++;
    return x && i < x->count;
}

static int wants_all(const char *starved)
{
    return starved && strcmp(starved, expert_starved_name(STARVED_ALL_TOKENS)) == 0;
}

int hosts_shares_find(const struct supervise *s, struct hosts_shares *x, struct err *e)
{
    const struct launch_process *f = sole_of(s, &forward_spec), *r = sole_of(s, &reduce_spec);

    *x = (struct hosts_shares){.own = f ? s->recipe->stage[f->stage].count : 0};
    if (!f || !r)
        return err_set(e, ERR_USE,
                       "the recipe has not one stage of ptq-forward and one of ptq-reduce");
    if (!is_ipc(launch_value(f, "--in")) || !is_ipc(launch_value(f, "--commits")) ||
        !is_ipc(launch_value(f, "--out")) || !launch_binds(r, launch_value(f, "--out")) ||
        launch_value(r, "--only"))
        return err_set(e, ERR_USE, "the rows of its forward stage do not go to one reducer alone");
    if (launch_value(f, "--state"))
        return err_set(e, ERR_USE, "--save-state keeps hidden states on this host");
    if (has_experts(s) && wants_all(launch_value(f, "--starved")))
        return err_set(e, ERR_USE,
                       "--starved all-tokens: in the sums of lanes that a worker sends there are "
                       "none of all tokens: use --starved rtn, or leave it out");
    if (words_check(s->change.route->stage[f->stage], f, of_forward, e) < 0 ||
        words_check(s->change.route->stage[r->stage], r, of_reduce, e) < 0)
        return -1;
    x->weighs = weigher_of(s) != NULL;
    return 0;
}

static int number_give(struct launch_process *p, const char *option, size_t number, struct err *e)
{
    char text[24];

    snprintf(text, sizeof text, "%zu", number);
    launch_withhold(p, option, 1);
    return launch_give(p, option, text, e);
}

int hosts_shares_fit(const struct supervise *s, const struct hosts_shares *x,
                     struct launch_process *p, struct err *e)
{
    const struct launch_process *f = sole_of(s, &forward_spec), *first;
    const struct stage *st = s->change.route->stage[p->stage];
    const int relays = st && opt_find(st->group, st->ngroups, "peers-out", 9, NULL);
    const char *dealt = hosts_dealt_at(s, &first);

    if (launch_binds(p, dealt) &&
        number_give(p, relays ? "--peers-out" : "--peers",
                    s->recipe->stage[first->stage].count + x->forwards, e) < 0)
        return -1;
    if (launch_binds(p, launch_value(f, "--commits")) &&
        number_give(p, "--commit-peers", x->own + x->forwards, e) < 0)
        return -1;
    return launch_binds(p, launch_value(f, "--out"))
               ? number_give(p, "--peers", x->own + x->others, e)
               : 0;
}

/* ---- commands for others ---- */

/* Of "tcp://0.0.0.0:7003" the port: by which address the head is reached the worker knows. */
static struct json *reached(const char *at)
{
    char *text = mem_printf(NULL, "tcp://*%s", strrchr(at, ':'));
    struct json *j = text ? json_new_text(text) : NULL;

    free(text);
    return j;
}

/* 0; 1: a place is not known yet; -1: no memory. */
static int word_add(struct json *command, const char *word, const struct hosts_ports *ports)
{
    const char *at;

    if (!is_ipc(word))
        return json_push(command, json_new_text(word)) ? -1 : 0;
    if (!(at = ports_at(ports, word)))
        return 1;
    return json_push(command, reached(at)) ? -1 : 0;
}

/* What the process says, without these options. */
static int words_add(struct json *command, const struct launch_process *p,
                     const char *const *without, const struct hosts_ports *ports)
{
    int r = 0;

    for (size_t i = 0, n; i < p->argc && r == 0; i += n ? n : 1)
        if (!(n = is_among(without, p, i)))
            r = word_add(command, p->argv[i], ports);
    return r;
}

/* Adds the command, or what came of it: r as words_add. Takes over command. */
static int process_add(struct json *list, const char *stage, int64_t number, int64_t epoch, int r,
                       struct json *command)
{
    struct json *j = json_new_object();
    char name[96];

    snprintf(name, sizeof name, "%.60s.%lld", stage, (long long)number + 1);
    if (r || json_set_text(j, "name", name) || json_set_int(j, "epoch", epoch)) {
        json_destroy(&command);
        json_destroy(&j);
        return r ? r : -1;
    }
    if (json_set(j, "command", command))
        json_destroy(&j);
    return json_push(list, j);
}

/* So many processes like the newest of the stage. */
static int solvers_add(struct json *list, const struct supervise *s, size_t stage,
                       const struct hosts_ports *ports, int64_t epoch, int64_t count)
{
    const struct launch_process *like = &s->plan->process[newest_find(s, stage)];
    int r = 0;

    for (int64_t i = 0; i < count && r == 0; i++) {
        struct json *command = json_new_array();

        r = words_add(command, like, of_host, ports);
        r = process_add(list, s->recipe->stage[stage].name, i, epoch, r, command);
    }
    return r;
}

static int is_solver(const struct supervise *s, size_t stage)
{
    const struct route *t = s->change.route;

    return s->recipe->stage[stage].elastic && t && t->stage[stage] &&
           t->stage[stage]->spec == &solve_spec;
}

/* Another program may have taken the stage over. */
static int solver_check(const struct supervise *s, size_t stage, struct err *e)
{
    const struct launch_process *p = &s->plan->process[newest_find(s, stage)];

    return specs_find(p->argv[0]) == &solve_spec
               ? words_check(s->change.route->stage[stage], p, of_host, e)
               : err_set(e, ERR_USE, "'%.100s' runs on this host only", p->argv[0]);
}

void hosts_solvers_say(const struct supervise *s)
{
    for (size_t i = 0; i < s->recipe->nstages; i++) {
        struct err e = {0};

        if (is_solver(s, i) && solver_check(s, i, &e) < 0)
            log_warn("workers do not solve for stage '%s': %s", s->recipe->stage[i].name, e.text);
    }
}

/* An option with its value; r, and what it gives, as words_add. */
static int option_add(int r, struct json *command, const char *name, const char *value,
                      const struct hosts_ports *ports)
{
    if (r || !value)
        return r;
    return json_push(command, json_new_text(name)) ? -1 : word_add(command, value, ports);
}

/* Behind which site the part goes on. */
static const char *from_of(const struct hosts_part *part, const struct launch_process *p,
                           char text[24])
{
    if (!part->from)
        return launch_value(p, "--from-site");
    snprintf(text, 24, "%llu", (unsigned long long)part->from);
    return text;
}

/* Where the head deals lanes to the part. */
static const char *lanes_at(const struct hosts_part *part, const struct launch_process *p)
{
    return *part->at ? part->at : launch_value(p, "--in");
}

/* Of what the i-th that weighs makes of its lanes. */
static void weighed_at(const char *mark, int64_t i, char out[32])
{
    snprintf(out, 32, "%s%s.%lld", mark, WEIGHED, (long long)i + 1);
}

/* Its chunks come from the head and stay. */
static int weigher_command(struct json *command, const struct launch_process *p,
                           const struct hosts_part *part, int64_t i,
                           const struct hosts_ports *ports)
{
    char lease[PART_LEASE], out[32];
    int r = words_add(command, p, of_weigher, ports);

    part_lease(part, "weigh", i, lease);
    weighed_at("@", i, out);
    r = option_add(r, command, "--in", lanes_at(part, p), ports);
    r = option_add(r, command, "--lease", lease, ports);
    return option_add(r, command, "--out", out, ports);
}

/* Commits come from the head, and chunks, unless `in` says from where; its rows stay. */
static int forward_command(struct json *command, const struct launch_process *p, const char *in,
                           const struct hosts_part *part, int64_t i,
                           const struct hosts_ports *ports)
{
    char lease[PART_LEASE], from[24];
    int r = words_add(command, p, of_forward, ports);

    part_lease(part, "forward", i, lease);
    r = option_add(r, command, "--in", in ? in : lanes_at(part, p), ports);
    r = option_add(r, command, "--lease", lease, ports);
    r = option_add(r, command, "--from-site", from_of(part, p, from), ports);
    return option_add(r, command, "--out", ROWS, ports);
}

/* Sums of lanes in place of problems; they go where the rows of the head's own workers go. */
static int reduce_command(struct json *command, const struct launch_process *p, const char *rows,
                          const struct hosts_part *part, const struct hosts_ports *ports)
{
    char number[24], lease[PART_LEASE], from[24];
    int r = words_add(command, p, of_reduce, ports);

    snprintf(number, sizeof number, "%lld", (long long)part->forwards);
    part_lease(part, "reduce", 0, lease);
    if (r == 0 && json_push(command, json_new_text("--partial")))
        r = -1;
    r = option_add(r, command, "--peers", number, ports);
    r = option_add(r, command, "--in", "@" ROWS, ports);
    r = option_add(r, command, "--lease", lease, ports);
    r = option_add(r, command, "--from-site", from_of(part, p, from), ports);
    return option_add(r, command, "--out", rows, ports);
}

static int pass_add(struct json *list, const struct supervise *s, const struct hosts_ports *ports,
                    const struct hosts_part *part)
{
    const struct launch_process *f = sole_of(s, &forward_spec), *r = sole_of(s, &reduce_spec),
                                *w = s->hosts->shares.weighs ? weigher_of(s) : NULL;
    struct json *command = json_new_array();
    char in[32];
    int rc = reduce_command(command, r, launch_value(f, "--out"), part, ports);

    rc = process_add(list, hosts_reduce_name(s), 0, part->turn, rc, command);
    for (int64_t i = 0; w && i < part->forwards && rc == 0; i++) {
        command = json_new_array();
        rc = weigher_command(command, w, part, i, ports);
        rc = process_add(list, s->recipe->stage[w->stage].name, i, part->turn, rc, command);
    }
    for (int64_t i = 0; i < part->forwards && rc == 0; i++) {
        command = json_new_array();
        weighed_at("", i, in);
        rc = forward_command(command, f, w ? in : NULL, part, i, ports);
        rc = process_add(list, hosts_forward_name(s), i, part->turn, rc, command);
    }
    return rc;
}

struct json *hosts_work(const struct supervise *s, const struct hosts_ports *ports, int64_t epoch,
                        int64_t solve, const struct hosts_part *part)
{
    const int has = part && !part->lost.kind && (!*part->at || ports_at(ports, part->at));
    struct json *list = json_new_array();
    int r = has ? pass_add(list, s, ports, part) : 0;

    for (size_t i = 0; i < s->recipe->nstages && r == 0; i++)
        if (is_solver(s, i) && solver_check(s, i, &(struct err){0}) == 0)
            r = solvers_add(list, s, i, ports, epoch, solve);
    if (r)
        json_destroy(&list);
    return r > 0 ? json_new_array() : list;
}
