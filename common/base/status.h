/* SPDX-License-Identifier: Apache-2.0 */
/* status - what a stage is doing, for whoever watches.
 *
 * With --status-fd N (the supervisor gives it) each update is one JSON line
 * {"stage","state","block","site","done","total","unit","tokens","received","sent","queue"} on that
 * descriptor, with "paused" true while it rests (pause.h); otherwise, on a terminal, one live line
 * on stderr that fits its width; otherwise nothing. Updates are thinned to about ten a second; a
 * slow or gone reader never blocks or kills the stage.
 *
 * That a process lives says nothing of its work: the threads of its links go on when its own one
 * spins or hangs. So that one says status_alive() wherever it waits or has done a part.
 *
 * A program that knows the whole of its work says so with status_job(): one progress with the time
 * left, and off a terminal a line in the log every 10 seconds. */
#ifndef PTQ_STATUS_H
#define PTQ_STATUS_H

#include <stdint.h>

#define STATUS_ASSEMBLE "assemble"   /* the writer has all commits */
#define STATUS_PUBLISHED "published" /* and its checkpoint is there */

void status_init(const char *stage, int fd); /* fd -1: no supervisor */
void status_update(const char *state, int64_t block, const char *site, uint64_t done,
                   uint64_t total, const char *unit);
void status_tokens(uint64_t tokens_forwarded); /* cumulative; goes out with the next update */
/* By links, from any thread, for the next update: bytes that came or went; so many messages more
 * (or less) have come that the stage has not taken. */
void status_received(uint64_t bytes);
void status_sent(uint64_t bytes);
void status_queue(int64_t change);
/* It rests from here on, or goes on: the last update once more, with that. */
void status_paused(int paused);
/* 1: status_job would show something now; what is costly to say can be left out else. */
int status_due(void);
/* share: of all the work, 0 to 1, by the time it takes: what is left follows from what went by
 * since the first call; done of total are what is counted for people, shown once there is
 * one, note what is known so far (may be empty). */
void status_job(const char *state, double share, uint64_t done, uint64_t total, const char *unit,
                const char *note);
/* Somebody said hello at an endpoint that this process bound: a line of its own to the supervisor,
 * {"stage","hello","at"}; instance: of the other end, as it said. From any thread. */
void status_hello(const char *instance, const char *address);
/* Who said hello with this lease, PLACE/EPOCH, and may be started again, is lost:
 * {"stage","lost","at"}. */
void status_lost(const char *instance, const char *lease);
/* What this process has leased, as "0-2,5", and nobody else has: {"stage","lanes"}; "": it owes
 * nothing any more. */
void status_lanes(const char *lanes);
/* What this process has bound at `here` can also be reached at `address`:
 * {"stage","bound","at"}. */
void status_bound(const char *here, const char *address);
/* The thread that status_init was called on goes on; of any other it counts for nothing. As often
 * as it likes: a line {"stage","alive","waited"} goes to the supervisor four times a second at
 * most. */
void status_alive(void);
/* Of that thread too: it stood still for so long. whom: "for solve", "until reduce takes"; what it
 * waited for each in all goes out with the next of these lines, and with status_end(). Of more than
 * STATUS_WAITS of them the last one counts all further ones. */
void status_waited(const char *whom, double seconds);
#define STATUS_WAITS 8
#define STATUS_WHOM 64       /* bytes that hold one */
#define STATUS_ALIVE_MS 1000 /* who waits for longer wakes so often to say it */
/* How often it was said, for who asks from another thread. */
uint64_t status_work(void);
int status_watched(void); /* 1: a supervisor reads the updates */
void status_end(void);

#endif
