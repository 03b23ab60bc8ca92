/* SPDX-License-Identifier: Apache-2.0 */
/* sidecar - copies of what lies beside the weights. */
#include "sidecar.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../base/fs.h"
#include "../format/format.h"
#include "../text/model_file.h"

#define LARGEST ((off_t)64 << 20)

static int ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

/* The model's card and its scripts: they speak of the model that was read, not of this one. */
static int is_card(const char *name)
{
    return strncasecmp(name, "readme", 6) == 0 && (name[6] == '\0' || name[6] == '.');
}

static int is_config(const char *name)
{
    const struct format *f;

    for (size_t i = 0; (f = format_at(i)); i++)
        if (f->config_copy && strcmp(name, f->config_copy) == 0)
            return 1;
    return strcmp(name, "config.json") == 0;
}

static int left_behind(const char *name)
{
    static const char *const ends[] = {".safetensors", ".safetensors.index.json",
                                       ".bin",         ".bin.index.json",
                                       ".pt",          ".pth",
                                       ".ckpt",        ".gguf",
                                       ".h5",          ".msgpack",
                                       ".onnx",        ".jsonl",
                                       ".parquet",     ".py",
                                       ".sh",          ".ipynb"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i]))
            return 1;
    return *name == '.' || is_card(name) || is_config(name);
}

static int is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= LARGEST;
}

static int copy_one(const char *from, const char *to, const char *name, struct err *e)
{
    char *source = fs_join(from, name, e), *copy = fs_join(to, name, e);
    int rc = source && copy ? 0 : -1;

    if (rc == 0 && is_file(source))
        rc = fs_copy(source, copy, e);
    free(source);
    free(copy);
    return rc;
}

static int check_one(const char *from, const char *name, struct err *e)
{
    char *source = fs_join(from, name, e);
    uint64_t bytes;
    int rc = source ? 0 : -1, fd;

    if (rc == 0 && (is_file(source) || !fs_exists(source))) {
        fd = fs_open(source, &bytes, e);
        rc = fd < 0 ? -1 : close(fd);
    }
    free(source);
    return rc;
}

/* to NULL: only checked. */
static int each(const char *from, const char *to, struct err *e)
{
    char **names;
    size_t count;
    int rc = fs_list(from, &names, &count, e);

    if (rc)
        return -1;
    for (size_t i = 0; i < count && rc == 0; i++)
        if (!left_behind(names[i]))
            rc = to ? copy_one(from, to, names[i], e) : check_one(from, names[i], e);
    fs_names_free(&names, count);
    return rc;
}

/* What a GGUF file says of the tokenizer and of generation, as files. */
static int each_made(const char *from, const char *to, struct err *e)
{
    const char *name;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (name = model_file_made(i)); i++) {
        size_t n;
        char *text = model_file_read(from, name, 0, &n, e),
             *copy = text && to ? fs_join(to, name, e) : NULL;

        if (text)
            text[n++] = '\n'; /* in place of the NUL */
        rc = !text || (to && (!copy || fs_publish(copy, text, n, e) < 0)) ? -1 : 0;
        free(copy);
        free(text);
    }
    return rc;
}

int sidecar_copy(const char *from, const char *to, struct err *e)
{
    return model_is_folder(from) ? each(from, to, e) : each_made(from, to, e);
}

int sidecar_check(const char *from, struct err *e)
{
    return model_is_folder(from) ? each(from, NULL, e) : each_made(from, NULL, e);
}
