/* SPDX-License-Identifier: Apache-2.0 */
/* hold - a run that rests on demand. What makes work (those of our programs that say STAGE_PAUSES)
 * rests behind the chunk, the problem or the step that it has in hand; reducers and the writer go
 * on until they have dealt with what was sent, so that nothing is left but what can wait. Links
 * stay up, and no limit of time is reached meanwhile. */
#ifndef PTQ_HOLD_H
#define PTQ_HOLD_H

#include "supervise_state.h"

/* Is it one of those? */
int hold_concerns(const struct child *c);
/* Tells it to rest or to go on, unless that was said last. */
void hold_tell(struct child *c, int rest);
/* {"cmd": "pause"} and "resume". 1: answered; 0: another request. */
int hold_request(struct supervise *s, uint64_t client, const char *cmd);
/* Those that were started since rest too. */
void hold_tick(struct supervise *s);
double hold_seconds(const struct supervise *s); /* since it rests; 0: it does not */

#endif
