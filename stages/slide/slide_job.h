/* SPDX-License-Identifier: Apache-2.0 */
/* slide_job - a share of a step as messages (INTERFACES.md 3.7): the rows of some sequences and all
 * that is learned of a window go out, the sums of its gradients over these rows come back. What
 * works on one needs nothing else but the model. Private to the stage. */
#ifndef PTQ_SLIDE_JOB_H
#define PTQ_SLIDE_JOB_H

#include "../../common/wire/msg.h"
#include "slide_window.h"

struct slide_job {
    size_t window, step, part; /* its name */
    size_t first, count;       /* blocks */
    double share;              /* of the inputs that are rounded */
    int act_bits, qkv_bits;    /* as of slide_opts */
    enum products products;
    struct slide_shape shape;
    struct slide_batch batch;
};

/* Of the rows of j, with the parameters of w. */
struct msg *slide_job_make(const struct slide_job *j, const struct slide_window *w, const char *run,
                           struct err *e);
/* The view of one, for a model of so many blocks and so wide a stream; the rows are the message's.
 * ERR_USE. */
int slide_job_read(const struct msg *m, size_t layers, size_t width, struct slide_job *j,
                   struct err *e);
/* The parameters into the blocks, which are made for the shape of the job. */
int slide_job_take(const struct msg *m, const struct slide_window *w, struct err *e);

/* The answer: gradients and loss, as slide_window_back has left them. */
struct msg *slide_sum_make(const struct slide_job *j, const struct slide_window *w, double loss,
                           const char *run, struct err *e);
/* Its part, of so many; parts: it is of another step, as when a share was worked on twice. -1. */
int slide_sum_part(const struct msg *m, const struct slide_job *j, size_t parts, struct err *e);
/* Adds it to the gradients and the loss; the first one is what they become. */
int slide_sum_add(const struct msg *m, const struct slide_window *w, int first, double *loss,
                  struct err *e);

#endif
