/* SPDX-License-Identifier: Apache-2.0 */
/* weights - the tensors of a checkpoint as numbers: linears that it holds as codes by the weights
 * that the codes stand for, under the name that they have in a plain checkpoint; every other tensor
 * as it is. How codes are stored the list of formats knows (format.h). One tensor at a time. */
#ifndef PTQ_WEIGHTS_H
#define PTQ_WEIGHTS_H

#include "../../../common/format/format.h"
#include "input.h"

/* A linear that is stored as codes, as far as its tensors say. */
struct weights_linear {
    const struct format *f;
    struct format_linear l;
};

/* A tensor by its name in a plain checkpoint. */
struct weights_tensor {
    char name[TENSOR_NAME + 8];
    const struct st_entry *entry;        /* of NAME as it is stored; NULL: */
    const struct weights_linear *linear; /* it stands for this one */
};

struct weights {
    const struct st_set *set;     /* borrowed */
    struct format_reader *reader; /* NULL: nothing says how codes are to be read */
    size_t nlinears;
    struct weights_linear *linear; /* [nlinears], by name */
    size_t count;
    struct weights_tensor *tensor; /* [count], by name */
};

/* Of a folder its config.json is asked how codes are stored; where that is not there, or says
 * nothing that is known (a warning), reader is NULL. *w is to be closed also after an error. */
int weights_open(struct weights *w, const struct input *in, const struct st_set *set,
                 struct err *e);
void weights_close(struct weights *w);
/* The linear that is stored as codes and whose part a stored tensor is; NULL: it is none. */
const struct weights_linear *weights_of(const struct weights *w, const char *stored);
/* Does this stored tensor show the linear? Each has one that does. */
int weights_shows(const struct weights_linear *x, const char *stored);

/* What only the codes tell. */
struct weights_codes {
    const char *grid;      /* as a run names it: of equal steps sym or asym */
    int permuted;          /* groups are not runs of inputs (act-order) */
    enum dtype scale_type; /* DT_COUNT: the format has no codes of this kind; nothing else is set */
};

/* The weights that codes stand for, F32 [N,K]; the caller releases *t. codes may be NULL. Needs a
 * reader. */
int weights_load(const struct weights *w, const struct weights_linear *x, struct tensor *t,
                 struct weights_codes *codes, struct err *e);
/* NULL: there is none of this name. */
const struct weights_tensor *weights_find(const struct weights *w, const char *name);

#endif
