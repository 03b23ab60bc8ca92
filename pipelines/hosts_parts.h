/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_parts - which lanes of a run are with which worker.
 *
 * A part is what one worker does of the forward pass: some forward processes, where chunks are
 * weighed one before each that does so, and a reducer that sums up the lanes they hold. It is
 * leased as a whole. Its processes have places (link_lease.c), w2.reduce, w2.weigh.1 and
 * w2.forward.1, and when any of them is lost the next holder of the part has the same
 * places with a higher epoch. */
#ifndef PTQ_HOSTS_PARTS_H
#define PTQ_HOSTS_PARTS_H

#include <stddef.h>
#include <stdint.h>
#include "../common/base/err.h"
#include "../common/base/json.h"
#include "../common/wire/link.h"

#define PART_LEASE (LINK_PLACE + 24)
#define PART_LANES 256     /* of one process, as forward says them */
#define PART_LIST 4096     /* of all */
#define PART_NONE SIZE_MAX /* in place of a host */

enum part_owes { PART_OWES_LANES, PART_OWES_NOTHING, PART_OWES_UNKNOWN };

struct hosts_part {
    size_t number; /* of its places */
    size_t host;   /* who has it; PART_NONE: nobody, or the head itself */
    int64_t forwards;
    int64_t epoch; /* least, and how many had it before */
    int64_t turn;  /* differs each time its processes are started anew, on whichever host */
    uint64_t from; /* sites before this one are committed; 0: as the run's own processes have it */
    char at[256];  /* where its lanes are dealt again, ipc://...; "": with all others */
    char (*lanes)[PART_LANES]; /* [forwards] "": not known yet, "-": none (any more) */
    int done;                  /* its reducer has come to its end */
    double given_up;           /* since when a neighbour has given it up; 0: none has */
    struct err lost;           /* kind 0: it is not */
};

struct hosts_parts {
    struct hosts_part *at; /* owned */
    size_t count, room;
    int64_t least; /* epoch of those that are added: above all before them, see parts_clear */
};

/* All begins again: who held any of them, and lives on, has a lower epoch than those to come. */
void parts_clear(struct hosts_parts *p);
void parts_release(struct hosts_parts *p);
struct hosts_part *parts_add(struct hosts_parts *p, size_t host, int64_t forwards, int64_t turn,
                             struct err *e);
/* What the host has; NULL: nothing. */
struct hosts_part *parts_of(const struct hosts_parts *p, size_t host);
/* Of the first that is lost; NULL: none is. */
const struct err *parts_lost(const struct hosts_parts *p);
/* That to which a process with this lease belongs; NULL: to none, or it has been leased since. */
struct hosts_part *parts_find(const struct hosts_parts *p, const char *lease);
/* "w2.forward.1/0", i from 0; stage "reduce" has but one. */
void part_lease(const struct hosts_part *p, const char *stage, int64_t i, char out[PART_LEASE]);
/* What a worker says of its processes, an array of {"name", "epoch", "lanes", "done"}; forward,
 * reduce, weigher (or NULL): the names of the stages. Who weighs lanes has them before the forward
 * process behind it. Of other turns of the part it counts for nothing. */
void part_told(struct hosts_part *p, const char *forward, const char *reduce, const char *weigher,
               const struct json *processes);
/* The lanes that its processes hold together, "0,2-4". */
enum part_owes part_lanes(const struct hosts_part *p, char out[PART_LIST]);
/* How many lanes "0,2-4" names; -1: it is no such list. */
int64_t lanes_count(const char *list);
/* The most that one of its processes holds; -1: not known of all of them. */
int64_t part_most(const struct hosts_part *p);
/* Leased again: host gets it, with so many forward processes; from, at, turn: as the fields. */
int part_next(struct hosts_part *p, size_t host, int64_t forwards, uint64_t from, const char *at,
              int64_t turn, struct err *e);

#endif
