/* SPDX-License-Identifier: Apache-2.0 */
/* config_text - edits of config.json that leave the source's spelling alone: printing the parsed
 * tree again would turn 1e-06 into seventeen digits and lose the layout that people compare by
 * eye. The text must have been parsed before (json.h): these functions rely on its being an
 * object in valid JSON without a NUL. *text is malloc'd and may be replaced. */
#ifndef PTQ_CONFIG_TEXT_H
#define PTQ_CONFIG_TEXT_H

#include "../base/err.h"
#include "../tensor/dtype.h"

/* The value (JSON text) of a top-level key, whatever it was; behind the last member where the key
 * is absent. */
int config_text_set(char **text, const char *key, const char *value, struct err *e);
/* The same, and wherever else the key stands in an object within. */
int config_text_set_all(char **text, const char *key, const char *value, struct err *e);
/* A new member behind the last one; value may be of any kind and of several lines. */
int config_text_add(char **text, const char *key, const char *value, struct err *e);
/* A top-level member of any kind is gone, if it was there. */
int config_text_drop(char **text, const char *key, struct err *e);
/* "torch_dtype" and "dtype", whichever is there; types without a name there leave the text as it
 * is. */
int config_text_dtype(char **text, enum dtype dtype, struct err *e);

#endif
