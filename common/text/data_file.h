/* SPDX-License-Identifier: Apache-2.0 */
/* data_file - a file of data that can be read more than once, whatever it is.
 *
 * A regular file is read where it is. What can be read only once, in order (standard input as
 * "-", a pipe, <(...) of a shell), and what is packed (gzip, zstd) is kept, unpacked, in a file
 * without a name in the folder for temporary files when it is opened. */
#ifndef PTQ_DATA_FILE_H
#define PTQ_DATA_FILE_H

#include "../base/err.h"
#include "../base/spill.h"

enum data_kind {
    DATA_TEXT,  /* .txt: one document */
    DATA_LINES, /* .jsonl, and .json that is no list: a document a line */
    DATA_LIST   /* .json: a list of documents */
};

struct data_file {
    char *name; /* for messages; owned */
    char *path; /* to open, as often as wanted while this is open; owned */
    /* by the name, a .gz or .zst at its end aside; of what has no such name the contents say it */
    enum data_kind kind;
    struct spill kept;
};

/* Fills *f; close it in any case. -1, ERR_USE: no such file, a folder, another kind of file. */
int data_file_open(struct data_file *f, const char *path, struct err *e);
void data_file_close(struct data_file *f);

#endif
