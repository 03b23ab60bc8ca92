/* SPDX-License-Identifier: Apache-2.0 */
/* sample_forecast - what ptq-sample will make of its options, and what it takes, known before any
 * text is read. */
#ifndef PTQ_SAMPLE_FORECAST_H
#define PTQ_SAMPLE_FORECAST_H

#include "../../common/run/forecast.h"
#include "sample.h"

/* The stream of chunks into *f: tokens, lengths, chunks, lanes. context: the most tokens of a
 * sequence that the model takes; 0: any. -1: options that make no stream of a known size. */
int sample_forecast_chunks(const struct sample_opts *o, size_t context, struct forecast *f,
                           struct err *e);
/* The same of rows that are chats with images, which only the data tell: looks at the pictures of
 * the first chunks. Where there are none, or they cannot be read, *f stays as it is. c: of the
 * model. Behind sample_forecast_chunks. */
void sample_forecast_pictures(const struct sample_opts *o, const struct config *c,
                              struct forecast *f);
/* Peak resident bytes, beyond its program. tokenizer: bytes of its file, 0 where there is none. */
uint64_t sample_forecast_memory(const struct forecast *f, uint64_t tokenizer);

/* What the longest text of the data adds to it: a .txt is one document. model: its folder. */
uint64_t sample_forecast_text(const struct sample_opts *o, const char *model);

#endif
