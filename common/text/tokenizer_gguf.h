/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_gguf - a model folder's tokenizer and chat template as the metadata of a GGUF file
 * (tokenizer.ggml.*), as convert_hf_to_gguf.py of llama.cpp stores them. What llama.cpp would
 * tokenize otherwise than tokenizer.json says is refused by name. */
#ifndef PTQ_TOKENIZER_GGUF_H
#define PTQ_TOKENIZER_GGUF_H

#include "../base/json.h"
#include "../tensor/gguf_write.h"

/* rows: of the embedding; ids that stand for no token are named [PADn]. config: config.json, asked
 * where tokenizer_config.json does not say which token begins and ends a text. */
int tokenizer_gguf(const char *dir, size_t rows, const struct json *config, struct gguf_meta *m,
                   struct err *e);

#endif
