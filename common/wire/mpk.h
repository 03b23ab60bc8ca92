/* SPDX-License-Identifier: Apache-2.0 */
/* mpk - trees of values (struct json) to and from msgpack. The only file that includes msgpack.
 * Limits on nesting, sizes and counts; bin, ext and non-text keys are refused in messages
 * (tensors travel in their own parts). */
#ifndef PTQ_MPK_H
#define PTQ_MPK_H

#include <stddef.h>
#include "../base/err.h"
#include "../base/json.h"

int mpk_encode(const struct json *j, void **data, size_t *length, struct err *e); /* caller frees */
struct json *mpk_decode(const void *data, size_t length, const char *what, struct err *e);

#endif
