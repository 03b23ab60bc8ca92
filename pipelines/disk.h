/* SPDX-License-Identifier: Apache-2.0 */
/* disk - is there room for what a run writes, as far as that is known before it starts? */
#ifndef PTQ_DISK_H
#define PTQ_DISK_H

#include <stdint.h>
#include "../common/base/err.h"
#include "../common/model/sites.h"
#include "route.h"

/* t: parsed, its shapes checked against the model; reserve: bytes that are to stay free; states:
 * hidden states are kept in OUT. -1, by the name of the option, when the tensors of the formats,
 * the commits that lie beside them at the end and the states do not fit into what is free where OUT
 * lies or will lie. With --overwrite nothing is refused: how much the earlier output gives back is
 * not known. */
int disk_check(const struct route *t, const struct config *config, const struct sites *sites,
               uint64_t reserve, int states, struct err *e);

/* The folder can be written to, or made: asked of the nearest folder that is there, by making one
 * in it for a moment. -1, by the name of the option: "--out". */
int disk_check_folder(const char *option, const char *dir, struct err *e);

/* The same as disk_check() for what the forward processes and the reducer will put into files in
 * their --tmp, as far as their options tell. */
int disk_check_tmp(const struct route *t, const struct config *c, const struct sites *sites,
                   struct err *e);

#endif
