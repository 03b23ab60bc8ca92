/* SPDX-License-Identifier: Apache-2.0 */
/* status - what a stage is doing, for whoever watches.
 *
 * With --status-fd N (the supervisor gives it) each update is one JSON line
 * {"stage","state","block","site","done","total", "unit","tokens"} on that descriptor;
 * otherwise, on a terminal, one live line on stderr; otherwise nothing. Updates are thinned to
 * about ten a second; a slow or gone reader never blocks or kills the stage. */
#ifndef PTQ_STATUS_H
#define PTQ_STATUS_H

#include <stdint.h>

void status_init(const char *stage, int fd); /* fd -1: no supervisor */
void status_update(const char *state, int64_t block, const char *site, uint64_t done,
                   uint64_t total, const char *unit);
void status_tokens(uint64_t tokens_forwarded); /* cumulative; goes out with the next update */
void status_end(void);

#endif
