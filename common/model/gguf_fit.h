/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_fit - does llama.cpp compute of an architecture what the config says? */
#ifndef PTQ_GGUF_FIT_H
#define PTQ_GGUF_FIT_H

#include "../tensor/gguf_names.h"
#include "config.h"

/* -1, ERR_USE: what it would compute otherwise. */
int gguf_fit(const struct config *c, const struct gguf_arch *a, struct err *e);
/* Of blocks with a window every so many-th has none; 1: there are no windows. 0: no such number. */
size_t gguf_fit_period(const struct config *c);

#endif
