/* SPDX-License-Identifier: Apache-2.0 */
/* std - standard streams that were closed before the start (`ptq-sample ... >&-`): a file that is
 * opened later would get the number, and what is meant for the stream would go into it. */
#ifndef PTQ_STD_H
#define PTQ_STD_H

/* Takes their numbers, for what can be neither read nor written: whoever uses such a stream fails.
 * First of all in a main. */
void std_hold(void);
int std_was_closed(int fd); /* 1: it is held; of 0, 1 and 2 */

#endif
