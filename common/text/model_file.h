/* SPDX-License-Identifier: Apache-2.0 */
/* model_file - the small files of a model by their names (config.json, tokenizer.json): those in
 * its folder, or, of a model that is a GGUF file (gguf_path), what that says in their place. */
#ifndef PTQ_MODEL_FILE_H
#define PTQ_MODEL_FILE_H

#include <stddef.h>
#include "../base/err.h"
#include "../base/json.h"

int model_is_folder(const char *model);                 /* no GGUF file */
int model_file_is(const char *model, const char *name); /* it is there */
/* Its text, the caller's, with a NUL behind; at most `most` bytes. NULL: not there, not readable,
 * or the GGUF file does not say it. */
char *model_file_read(const char *model, const char *name, size_t most, size_t *n, struct err *e);
/* The same of JSON. */
struct json *model_file_json(const char *model, const char *name, struct err *e);
/* The names that a GGUF file has a text for, without config.json; NULL past the end. */
const char *model_file_made(size_t i);

#endif
