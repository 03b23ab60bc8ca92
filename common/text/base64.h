/* SPDX-License-Identifier: Apache-2.0 */
/* base64 - bytes that are written as letters, read with or without = at the end. */
#ifndef PTQ_BASE64_H
#define PTQ_BASE64_H

#include <stddef.h>
#include "../base/err.h"

/* out has room for 3 bytes in every 4 letters, and 3 more. Returns how many bytes there are;
 * SIZE_MAX: a letter that is none. */
size_t base64_read(const char *text, size_t n, unsigned char *out);
/* With = at the end; the caller frees. */
char *base64_write(const unsigned char *in, size_t n, struct err *e);

#endif
