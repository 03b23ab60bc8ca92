/* SPDX-License-Identifier: Apache-2.0 */
/* data_file - a file of data that can be read more than once, whatever it is.
 *
 * A regular file is read where it is. A folder is its files of one kind, in the order of their
 * names: .parquet, and where it has none .jsonl (packed ones too). What can be read only once, in
 * order (standard input as "-", a pipe, <(...) of a shell), and what is packed (gzip, zstd) is
 * kept, unpacked, in a file without a name in the folder for temporary files when it is opened. */
#ifndef PTQ_DATA_FILE_H
#define PTQ_DATA_FILE_H

#include "../base/err.h"
#include "../base/spill.h"

enum data_kind {
    DATA_TEXT,  /* .txt: one document */
    DATA_LINES, /* .jsonl, and .json that is no list: a document a line */
    DATA_LIST,  /* .json: a list of documents */
    DATA_ROWS   /* .parquet: a document a row */
};

struct data_file {
    char *name; /* for messages; of a folder with a / at its end; owned */
    char *path; /* to open, as often as wanted while this is open; NULL: a folder; owned */
    /* by the name, a .gz or .zst at its end aside; of what has no such name the contents say it */
    enum data_kind kind;
    struct spill kept;
    size_t parts; /* of a folder, at least one; 0: it is none */
    struct data_file *part;
};

/* Fills *f; close it in any case. -1, ERR_USE: no such file, a folder without data,
 * another kind of file. */
int data_file_open(struct data_file *f, const char *path, struct err *e);
/* Of the bytes of all its files. */
int data_file_digest(const struct data_file *f, uint64_t *digest, struct err *e);
void data_file_close(struct data_file *f);

#endif
