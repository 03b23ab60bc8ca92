/* SPDX-License-Identifier: Apache-2.0 */
/* fs - files and folders with checked writes. Publishing a file = write under a temporary name
 * in the same folder, fsync, rename, fsync of the folder. */
#ifndef PTQ_FS_H
#define PTQ_FS_H

#include <stddef.h>
#include <stdint.h>
#include "err.h"

char *fs_join(const char *dir, const char *name, struct err *e); /* dir/name; caller frees */
/* Whole file into memory, NUL-terminated; refuses more than max bytes. Caller frees. */
char *fs_read(const char *path, size_t max, size_t *length, struct err *e);
/* Opens a regular file for reading, its size into *bytes; a folder, a pipe or a file that is not
 * there is the user's error. The descriptor, or -1. */
int fs_open(const char *path, uint64_t *bytes, struct err *e);
int fs_size(const char *path, uint64_t *bytes, struct err *e);
/* 1 file or folder, 0 not */
int fs_exists(const char *path);
int fs_is_dir(const char *path);
/* with parents; fine when there */
int fs_mkdir(const char *path, struct err *e);
int fs_empty_dir(const char *path, int *empty, struct err *e);
int fs_remove_tree(const char *path, struct err *e);
int fs_copy(const char *from, const char *to, struct err *e); /* published as above */
/* loops, checks */
int fs_write_all(int fd, const void *data, size_t n, const char *what, struct err *e);
int fs_pwrite_all(int fd, const void *data, size_t n, uint64_t at, const char *what, struct err *e);
/* short = ERR_USE "truncated" */
int fs_pread_all(int fd, void *data, size_t n, uint64_t at, const char *what, struct err *e);
int fs_publish(const char *path, const void *data, size_t n, struct err *e);
int fs_sync_dir(const char *path, struct err *e);
/* Names in a folder, sorted bytewise, "." and ".." left out. Caller frees each and the array:
 * fs_names_free. */
int fs_list(const char *dir, char ***names, size_t *count, struct err *e);
void fs_names_free(char ***names, size_t count);

#endif
