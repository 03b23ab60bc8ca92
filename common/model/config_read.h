/* SPDX-License-Identifier: Apache-2.0 */
/* config_read - config.json, both generations of keys, read and checked. Errors name file
 * and key. */
#ifndef PTQ_CONFIG_READ_H
#define PTQ_CONFIG_READ_H

#include "config.h"

int config_read(const char *dir, struct config *c, struct err *e);
int config_parse(const char *text, size_t length, const char *what, struct config *c,
                 struct err *e);

/* The kinds of rope that are known, as rope_type names them; NULL past the end. */
const char *config_rope_name(size_t i);

#endif
