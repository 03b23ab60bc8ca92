/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_parts - see hosts_parts.h. */
#include "hosts_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/mem.h"

#define NONE "-"

void parts_clear(struct hosts_parts *p)
{
    int64_t most = p->least - 1;

    for (size_t i = 0; i < p->count; i++) {
        most = p->at[i].epoch > most ? p->at[i].epoch : most;
        free(p->at[i].lanes);
    }
    p->least = most + 1;
    p->count = 0;
}

void parts_release(struct hosts_parts *p)
{
    parts_clear(p);
    free(p->at);
    *p = (struct hosts_parts){0};
}

struct hosts_part *parts_add(struct hosts_parts *p, size_t host, int64_t forwards, int64_t turn,
                             struct err *e)
{
    struct hosts_part *x;

    if (mem_grow((void **)&p->at, &p->room, p->count + 1, sizeof *p->at, e) < 0)
        return NULL;
    x = &p->at[p->count];
    *x = (struct hosts_part){.number = p->count + 1,
                             .host = host,
                             .forwards = forwards,
                             .epoch = p->least,
                             .turn = turn};
    if (!(x->lanes = mem_array((size_t)forwards, sizeof *x->lanes, e)))
        return NULL;
    p->count++;
    return x;
}

struct hosts_part *parts_of(const struct hosts_parts *p, size_t host)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->at[i].host == host)
            return &p->at[i];
    return NULL;
}

const struct err *parts_lost(const struct hosts_parts *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->at[i].lost.kind)
            return &p->at[i].lost;
    return NULL;
}

struct hosts_part *parts_find(const struct hosts_parts *p, const char *lease)
{
    struct link_lease l;
    char *end;
    unsigned long number;

    if (link_lease_parse(lease, &l, NULL) < 0 || *l.place != 'w')
        return NULL;
    number = strtoul(l.place + 1, &end, 10);
    return number && number <= p->count && *end == '.' && p->at[number - 1].epoch == l.epoch
               ? &p->at[number - 1]
               : NULL;
}

void part_lease(const struct hosts_part *p, const char *stage, int64_t i, char out[PART_LEASE])
{
    if (strcmp(stage, "reduce") == 0)
        snprintf(out, PART_LEASE, "w%zu.reduce/%lld", p->number, (long long)p->epoch);
    else
        snprintf(out, PART_LEASE, "w%zu.%.8s.%lld/%lld", p->number, stage, (long long)i + 1,
                 (long long)p->epoch);
}

/* Number of "forward.3" in its stage, from 0; -1: it is of another. */
static int64_t number_of(const char *name, const char *stage, int64_t below)
{
    const size_t n = strlen(stage);
    char *end;
    long long i;

    if (strncmp(name, stage, n) != 0 || name[n] != '.')
        return -1;
    i = strtoll(name + n + 1, &end, 10);
    return !*end && i > 0 && i <= below ? i - 1 : -1;
}

void part_told(struct hosts_part *p, const char *forward, const char *reduce, const char *weigher,
               const struct json *processes)
{
    for (size_t k = 0; k < json_count(processes); k++) {
        const struct json *one = json_at(processes, k);
        const char *name = json_text_or(one, "name", ""), *lanes = json_text_or(one, "lanes", "");
        int64_t turn = -1, i;
        int done = 0;

        json_as_int(json_get(one, "epoch"), &turn);
        if (turn != p->turn)
            continue;
        json_as_bool(json_get(one, "done"), &done);
        if ((i = number_of(name, forward, p->forwards)) >= 0) {
            if (*lanes)
                snprintf(p->lanes[i], PART_LANES, "%s", lanes);
        } else if (weigher && (i = number_of(name, weigher, p->forwards)) >= 0) {
            if (!*p->lanes[i])
                snprintf(p->lanes[i], PART_LANES, "%s", lanes);
        } else if (number_of(name, reduce, 1) == 0) {
            p->done |= done;
        }
    }
}

enum part_owes part_lanes(const struct hosts_part *p, char out[PART_LIST])
{
    size_t n = 0;

    *out = '\0';
    if (p->done)
        return PART_OWES_NOTHING;
    for (int64_t i = 0; i < p->forwards; i++) {
        if (!*p->lanes[i])
            return PART_OWES_UNKNOWN;
        if (strcmp(p->lanes[i], NONE) == 0)
            continue;
        n += (size_t)snprintf(out + n, PART_LIST - n, "%s%s", n ? "," : "", p->lanes[i]);
        if (n >= PART_LIST)
            return PART_OWES_UNKNOWN;
    }
    return n ? PART_OWES_LANES : PART_OWES_UNKNOWN; /* the reducer is about to end */
}

int64_t lanes_count(const char *list)
{
    int64_t n = 0;

    if (strcmp(list, NONE) == 0)
        return 0;
    for (const char *at = list;; at++) {
        char *end;
        const long long from = *at >= '0' && *at <= '9' ? strtoll(at, &end, 10) : -1;
        const long long to = from >= 0 && *end == '-' ? strtoll(end + 1, &end, 10) : from;

        if (from < 0 || to < from || (*end && *end != ','))
            return -1;
        n += to - from + 1;
        if (!*end)
            return n;
        at = end;
    }
}

int64_t part_most(const struct hosts_part *p)
{
    int64_t most = 0;

    for (int64_t i = 0; i < p->forwards; i++) {
        const int64_t n = lanes_count(p->lanes[i]);

        if (n < 0)
            return -1;
        most = n > most ? n : most;
    }
    return most;
}

int part_next(struct hosts_part *p, size_t host, int64_t forwards, uint64_t from, const char *at,
              int64_t turn, struct err *e)
{
    char(*lanes)[PART_LANES] = mem_array((size_t)forwards, sizeof *lanes, e);

    if (!lanes)
        return -1;
    free(p->lanes);
    p->lanes = lanes;
    p->host = host;
    p->forwards = forwards;
    p->from = from;
    p->epoch++;
    p->turn = turn;
    p->given_up = 0;
    p->lost = (struct err){0};
    snprintf(p->at, sizeof p->at, "%s", at);
    return 0;
}
