/* SPDX-License-Identifier: Apache-2.0 */
/* input - what a path of inspect and diff holds, found by looking: a folder; "PTQ1" at the start,
 * "-" or an endpoint (a stream); anything else must be safetensors. A pipe is looked at without
 * taking anything from it; tensors that come through one are put into a file first, because they
 * are read in no order. */
#ifndef PTQ_INPUT_H
#define PTQ_INPUT_H

#include "../../../common/base/err.h"
#include "../../../common/base/spill.h"
#include "../../../common/tensor/safetensors.h"

enum input_kind { INPUT_STREAM, INPUT_FILE, INPUT_FOLDER };

struct input {
    enum input_kind kind;
    const char *path; /* to open it by: as given, or name */
    char name[32];
    int fd; /* of a pipe, else -1 */
    struct spill held;
};

int input_open(struct input *in, const char *path, struct err *e);
/* Of a file or a folder; NULL on error. in must outlive it. */
struct st_set *input_set(const struct input *in, struct err *e);
void input_close(struct input *in); /* harmless when it was not opened, but zeroed */

#endif
