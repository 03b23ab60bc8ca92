/* SPDX-License-Identifier: Apache-2.0 */
/* import - a GGUF file becomes a Hugging Face model folder. What stands for what is said by
 * gguf_folder.h and gguf_tokenizer.h. */
#ifndef PTQ_IMPORT_H
#define PTQ_IMPORT_H

#include "../../../common/base/err.h"
#include "../../../common/tensor/dtype.h"

struct import_opts {
    const char *file, *dir;
    enum dtype dtype; /* DT_BF16, DT_F16 or DT_F32 */
    int vocab_only;   /* tokenizer files only */
    const char *pre;  /* pre-tokenizer in place of the one that the file names; NULL: the file's */
};

/* Makes the folder `dir`, which must not exist or be empty; on failure nothing of it is left. */
int import_run(const struct import_opts *o, struct err *e);

#endif
