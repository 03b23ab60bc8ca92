/* clock - monotonic and CPU seconds. */
#ifndef PTQ_CLOCK_H
#define PTQ_CLOCK_H

double clock_wall(void); /* monotonic seconds */
double clock_cpu(void);  /* CPU seconds of this process, all threads */

#endif
