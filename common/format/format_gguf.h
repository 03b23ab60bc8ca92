/* SPDX-License-Identifier: Apache-2.0 */
/* format_gguf - what who puts a GGUF file together needs of the format. */
#ifndef PTQ_FORMAT_GGUF_H
#define PTQ_FORMAT_GGUF_H

#include "format.h"

/* The type of the blocks of a linear that is not kept (enum gguf_type). */
uint32_t format_gguf_type(const struct format_linear *l);

/* n weights (whole blocks) rounded to nearest into blocks Q8_0 (bits 8) or Q4_0 (4), as llama.cpp
 * does it: what no solver looks at. */
void format_gguf_round(int bits, const float *w, size_t n, void *out);

/* ---- reading, as in struct format (format_gguf_load.c) ---- */

int format_gguf_claims(const struct json *quantization);
void *format_gguf_open(const struct json *quantization, const char *what, struct err *e);
void format_gguf_close(void **spec);
int format_gguf_find(const void *spec, const struct format_source *s, const char *name, size_t N,
                     size_t K, struct err *e);
int format_gguf_read(const void *spec, const struct format_source *s, const char *name, size_t N,
                     size_t K, struct packed *p, struct err *e);
int format_gguf_load(const void *spec, const struct format_source *s, const char *name, size_t N,
                     size_t K, float *w, struct err *e);
int format_gguf_look(const struct st_set *set, const struct st_entry *x, struct format_linear *l);

#endif
