/* SPDX-License-Identifier: Apache-2.0 */
/* rotate_plan - which tensor of a checkpoint becomes what (rotate.c says why). */
#ifndef PTQ_ROTATE_PLAN_H
#define PTQ_ROTATE_PLAN_H

#include "../../../common/model/model.h"

enum rotate_action {
    ROTATE_KEEP, /* the same numbers */
    ROTATE_ONES, /* a norm whose weights went into the linears behind it */
    /* each row w becomes (w fold) Q: embeddings, head, what reads the stream, biases of what
     * writes it */
    ROTATE_ROWS,
    ROTATE_COLUMNS /* W becomes Q' W: what writes the stream */
};

struct rotate_item {
    char name[TENSOR_NAME];             /* in the output */
    const struct st_entry *from, *fold; /* fold: the norm that goes in; NULL: none */
    enum rotate_action action;
};

struct rotate_plan {
    struct rotate_item *item;
    size_t count;
};

/* Every tensor of the checkpoint is planned for, or refused by name. */
int rotate_plan_make(const struct model *m, struct rotate_plan *p, struct err *e);
void rotate_plan_release(struct rotate_plan *p);

#endif
