/* SPDX-License-Identifier: Apache-2.0 */
/* fs - files and folders with checked writes.
 *
 * Publishing a file = write under a new temporary name in the same folder, fsync, rename, fsync of
 * the folder: it appears whole, and until then what was there stays. A symbolic link stays one, its
 * target is replaced; the target keeps its mode. What is no regular file (a device, a FIFO, an open
 * descriptor below /proc) cannot be replaced and is written through.
 *
 * Where nothing else is said: 0, or -1 (NULL) with e saying what could not be done to which
 * file. */
#ifndef PTQ_FS_H
#define PTQ_FS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "err.h"

char *fs_join(const char *dir, const char *name, struct err *e); /* dir/name; caller frees */
/* Whole file into memory, NUL-terminated; refuses more than max bytes, and a Git LFS pointer in
 * place of a file. Caller frees. */
char *fs_read(const char *path, size_t max, size_t *length, struct err *e);
/* Opens a regular file for reading, its size into *bytes; a folder, a pipe, a Git LFS pointer
 * or a file that is not there is the user's error. The descriptor, or -1. */
int fs_open(const char *path, uint64_t *bytes, struct err *e);
/* -1 for a Git LFS pointer, which readers that open by themselves would call a damaged file */
int fs_check_pointer(const char *path, struct err *e);
/* of a file, by name */
int fs_size(const char *path, uint64_t *bytes, struct err *e);
/* 1 file or folder, 0 not */
int fs_exists(const char *path);
int fs_is_named(const char *path); /* 1 even when it is a link to nothing */
int fs_is_dir(const char *path);
/* -1 when what has this name is no regular file: a FIFO in the place of a file in a folder of ours
 * would be waited for without end. Fine when nothing has it. */
int fs_check_regular(const char *path, struct err *e);
/* -1 for "-", which elsewhere is standard input or output: a file or folder is wanted here. */
int fs_check_dash(const char *path, struct err *e);
int fs_same(const char *a, const char *b); /* both are there and are one file */
/* with parents; fine when there */
int fs_mkdir(const char *path, struct err *e);
/* *empty: 1 when nothing is in it; -1 also when it is not there */
int fs_empty_dir(const char *path, int *empty, struct err *e);
int fs_remove_tree(const char *path, struct err *e);
int fs_copy(const char *from, const char *to, struct err *e); /* published as above */
/* loops, checks */
int fs_write_all(int fd, const void *data, size_t n, const char *what, struct err *e);
int fs_pwrite_all(int fd, const void *data, size_t n, uint64_t at, const char *what, struct err *e);
/* What was printed so far has arrived; for the end of all that prints to standard output. */
int fs_flush(FILE *f, struct err *e);
/* short = ERR_USE "truncated" */
int fs_pread_all(int fd, void *data, size_t n, uint64_t at, const char *what, struct err *e);
int fs_publish(const char *path, const void *data, size_t n, struct err *e);
/* The same in pieces: write to fd between open and finish. */
struct fs_out {
    int fd;      /* -1: closed */
    char *path;  /* that will be replaced: symbolic links are followed; owned */
    char *temp;  /* what fd writes to; NULL: path itself, written through; owned */
    int there;   /* a file of that name is there */
    int through; /* path is no regular file and is written itself */
};
/* Refuses a folder and a file that must not be written to. */
int fs_out_open(struct fs_out *o, const char *path, struct err *e);
/* The whole file gets its name now, and is durable only after fs_out_finish: for what may be half a
 * file after a power cut, because somebody can tell. */
int fs_out_show(struct fs_out *o, struct err *e);
/* Publishes and releases o. When only the last rename fails the data stay, and the error names the
 * temporary file. */
int fs_out_finish(struct fs_out *o, struct err *e);
/* Removes the temporary file, releases o; harmless after finish. Keeps errno. */
void fs_out_drop(struct fs_out *o);
int fs_sync_dir(const char *path, struct err *e);
/* The folder and the names that lead to it, as far up as it may be read. */
int fs_sync_path(const char *path, struct err *e);
/* Names in a folder, sorted bytewise, "." and ".." left out. Caller frees each and the array:
 * fs_names_free. */
int fs_list(const char *dir, char ***names, size_t *count, struct err *e);
void fs_names_free(char ***names, size_t count);

#endif
