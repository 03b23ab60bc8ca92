/* SPDX-License-Identifier: Apache-2.0 */
/* sample_rows - how many rows and tokens a sample has. Those who open one include sample.h. */
#ifndef PTQ_SAMPLE_ROWS_H
#define PTQ_SAMPLE_ROWS_H

#include <stddef.h>
#include <stdint.h>

struct sample;

size_t sample_rows(const struct sample *s);
uint64_t sample_tokens(const struct sample *s);
/* The lengths that rows can have, longest first. */
size_t sample_lengths(const struct sample *s, const size_t **length);
uint64_t sample_rows_of(const struct sample *s, size_t length);

#endif
