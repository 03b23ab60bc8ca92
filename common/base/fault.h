/* SPDX-License-Identifier: Apache-2.0 */
/* fault - faults on purpose, so that what must survive them can be tried: --fault of every program
 * that has links. They fall on data messages, counted from 1 over all links of the process.
 *
 * A list of words, joined by commas:
 *   die:N     killed as by kill -9 when the N-th message has come or is about to go
 *   drop:N    the N-th that goes out does not
 *   twice:N   it goes out twice
 *   swap:N    it goes out behind the one after it
 *   flip:N    one of its bits is another
 *   cut:N     its end is missing; on a pipe or in a file so is all behind it, and the process
 *   delay:MS  each that goes out waits so long
 *   slow:MS   a stage deals with each that it takes so much later
 *   silent:MS peers of whom so long nothing is heard are given up, instead of 30 s
 *   once:FILE none of this where FILE is there; else it is made. So a process that is started
 *             again has no fault again
 * drop, twice and swap are for sockets: on pipes, which lose nothing, they change nothing.
 *
 * One set of faults a process, made before its links. */
#ifndef PTQ_FAULT_H
#define PTQ_FAULT_H

#include <stdint.h>
#include "err.h"

#define FAULT_HELP                                                                            \
    "faults on purpose, to try what survives them: die:N,drop:N,twice:N,swap:N,flip:N,cut:N," \
    "delay:MS,slow:MS,silent:MS,once:FILE; see ptq-cat(1)"

/* What is wrong with a list, if anything. */
int fault_check(const char *list, struct err *e);
/* From now on; once:FILE is looked for and made. NULL: no faults. */
int fault_init(const char *list, struct err *e);

/* Of a message that goes out; more than one may be set. */
enum { FAULT_DROP = 1, FAULT_TWICE = 2, FAULT_SWAP = 4, FAULT_FLIP = 8, FAULT_CUT = 16 };

/* A data message goes out now: it waits, or the process dies, as the list says. Returns FAULT_*
 * and where the damage falls: a number to be taken modulo what there is. */
unsigned fault_send(uint64_t *where);
void fault_receive(void);               /* one has come */
void fault_work(void);                  /* and is dealt with now */
_Noreturn void fault_die(void);         /* as kill -9 */
double fault_silence(double otherwise); /* seconds */

#endif
