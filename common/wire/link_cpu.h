/* SPDX-License-Identifier: Apache-2.0 */
/* link_cpu - CPU time of the threads that ZeroMQ runs for one of the contexts of this process. */
#ifndef PTQ_LINK_CPU_H
#define PTQ_LINK_CPU_H

/* Seconds; number: the context's ZMQ_THREAD_NAME_PREFIX. 0 where the system does not tell. */
double link_cpu(int number);
#endif
