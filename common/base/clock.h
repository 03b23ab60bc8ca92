/* SPDX-License-Identifier: Apache-2.0 */
/* clock - monotonic seconds, CPU seconds of the calling thread. Cannot fail. */
#ifndef PTQ_CLOCK_H
#define PTQ_CLOCK_H

double clock_wall(void);   /* monotonic seconds */
double clock_thread(void); /* CPU seconds of this thread */

#endif
