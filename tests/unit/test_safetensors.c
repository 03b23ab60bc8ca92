/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors: what is refused and why, sets of shards, reading, and a writer that publishes all
 * or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/tensor/safetensors.h"

static char root[64];

static const char *at(const char *name)
{
    static char path[4][256];
    static unsigned turn;
    char *p = path[turn++ % 4];

    snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

static int root_make(void **state)
{
    (void)state;
    strcpy(root, "/tmp/ptq-test-st-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int root_remove(void **state)
{
    struct err e = {0};

    (void)state;
    return fs_remove_tree(root, &e);
}

/* Single quotes stand for double ones. */
static char *spell(const char *text)
{
    static char out[16384];
    size_t i = 0;

    for (; text[i]; i++)
        out[i] = text[i] == '\'' ? '"' : text[i];
    out[i] = '\0';
    return out;
}

static void file_write(const char *path, uint64_t length, const char *header, size_t data)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    fwrite(&length, 8, 1, f);
    fputs(header, f);
    for (size_t i = 0; i < data; i++)
        fputc((int)(i & 255), f);
    fclose(f);
}

static void shard_write(const char *name, const char *header, size_t data)
{
    file_write(at(name), strlen(header), spell(header), data);
}

static void text_write(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "wb");

    assert_non_null(f);
    fputs(spell(text), f);
    fclose(f);
}

static void say_missing(const struct err *e, const char *word)
{
    assert_int_not_equal(e->kind, ERR_NONE);
    if (!strstr(e->text, word))
        print_message("'%s' is not in '%s'\n", word, e->text);
    assert_non_null(strstr(e->text, word));
}

static void header_refused(const char *header, uint64_t data, const char *word)
{
    struct st_entry *entries;
    struct json *meta;
    size_t count;
    struct err e = {0};
    const char *text = spell(header);

    assert_int_equal(st_parse_header(text, strlen(text), 8 + strlen(text) + data, "bad.safetensors",
                                     &entries, &count, &meta, &e),
                     -1);
    assert_null(entries);
    assert_null(meta);
    say_missing(&e, "bad.safetensors");
    say_missing(&e, word);
    assert_int_equal(e.kind, ERR_USE);
}

static void bad_headers(void **state)
{
    (void)state;
    header_refused("", 8, "begin with '{'");
    header_refused("[]", 0, "begin with '{'");
    header_refused("{", 0, "begin with '{'");
    header_refused(" {}", 0, "begin with '{'");
    header_refused("{'a':", 0, "JSON");
    header_refused("{}x", 0, "JSON");
    header_refused("{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4]},'a':{'dtype':'F32','"
                   "shape':[1],'data_offsets':[0,4]}}",
                   4, "JSON");
    header_refused("{'\xff':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}", 4, "JSON");
    header_refused("{'__metadata__':[]}", 0, "__metadata__");
    header_refused("{'__metadata__':{'k':1}}", 0, "'k'");
    header_refused("{'a':3}", 0, "'a'");
    header_refused("{'':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}", 4, "tensor name");
    header_refused("{'a':{'shape':[1],'data_offsets':[0,4]}}", 4, "'dtype'");
    header_refused("{'a':{'dtype':'F31','shape':[1],'data_offsets':[0,4]}}", 4,
                   "'F31' is not known");
    header_refused("{'a':{'dtype':'F8_E5M2','shape':[1],'data_offsets':[0,1]}}", 1,
                   "F8_E5M2 is not supported");
    header_refused("{'a':{'dtype':'F4','shape':[2],'data_offsets':[0,1]}}", 1,
                   "F4 is not supported");
    header_refused("{'a':{'dtype':'F32','data_offsets':[0,4]}}", 4, "'shape'");
    header_refused("{'a':{'dtype':'F32','shape':[-1],'data_offsets':[0,4]}}", 4, "'shape'");
    header_refused("{'a':{'dtype':'F32','shape':[1.0],'data_offsets':[0,4]}}", 4, "'shape'");
    header_refused("{'a':{'dtype':'F32','shape':[1,1,1,1,1,1,1],'data_offsets':[0,4]}}", 4,
                   "7 dimensions");
    header_refused("{'a':{'dtype':'F32','shape':[4294967296,4294967296],'data_offsets':[0,4]}}", 4,
                   "'a'");
    header_refused("{'a':{'dtype':'F32','shape':[9223372036854775807],'data_offsets':[0,4]}}", 4,
                   "a");
    header_refused("{'a':{'dtype':'F32','shape':[99999999999999999999],'data_offsets':[0,4]}}", 4,
                   "a");
    header_refused("{'a':{'dtype':'F32','shape':[1]}}", 4, "'data_offsets'");
    header_refused("{'a':{'dtype':'F32','shape':[1],'data_offsets':[0]}}", 4, "'data_offsets'");
    header_refused("{'a':{'dtype':'F32','shape':[1],'data_offsets':[-4,0]}}", 4, "'data_offsets'");
    header_refused("{'a':{'dtype':'F32','shape':[1],'data_offsets':[4,0]}}", 4, "end (0)");
    header_refused("{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,8]}}", 8, "span 8 bytes");
}

#define ONE(name, from, to) \
    "'" name "':{'dtype':'F32','shape':[1],'data_offsets':[" from "," to "]}"

static void bad_layout(void **state)
{
    (void)state;
    header_refused("{" ONE("a", "4", "8") "}", 8, "hole");
    header_refused("{" ONE("a", "0", "4") "," ONE("b", "8", "12") "}", 12, "hole");
    header_refused("{" ONE("a", "0", "4") "," ONE("b", "2", "6") "}", 8, "inside the data before");
    header_refused("{" ONE("a", "0", "4") "," ONE("b", "0", "4") "}", 4, "inside the data before");
    header_refused("{" ONE("a", "0", "4") "," ONE("b", "4", "8") "}", 7, "truncated");
    header_refused("{" ONE("a", "9223372036854775800", "9223372036854775804") "}", 8, "truncated");
    header_refused("{" ONE("a", "0", "4") "}", 5, "1 bytes after");
    header_refused("{}", 1, "1 bytes after");
}

static void open_refused(const char *path, const char *word)
{
    struct err e = {0};

    assert_null(st_open(path, &e));
    say_missing(&e, word);
    assert_int_equal(e.kind, ERR_USE);
}

static void bad_files(void **state)
{
    (void)state;
    open_refused(at("none.safetensors"), "none.safetensors");
    open_refused(root, "regular file");
    text_write("short.safetensors", "1234567");
    open_refused(at("short.safetensors"), "7 bytes");
    file_write(at("lying.safetensors"), 1000, "{}", 0);
    open_refused(at("lying.safetensors"), "truncated");
    file_write(at("huge.safetensors"), UINT64_MAX, "{}", 0);
    open_refused(at("huge.safetensors"), "header length");
    shard_write("cut.safetensors", "{" ONE("a", "0", "4") "}", 3);
    open_refused(at("cut.safetensors"), "download it again");
}

static void header_of_nothing(void **state)
{
    struct st_entry *entries;
    struct json *meta;
    size_t count = 9;
    struct err e = {0};

    (void)state;
    assert_int_equal(st_parse_header("{}      ", 8, 16, "x", &entries, &count, &meta, &e), 0);
    assert_int_equal(count, 0);
    free(entries);
    assert_int_equal(st_parse_header("{}", 2, 7, "x", &entries, &count, &meta, &e), -1);
    assert_int_equal(st_parse_header("{}", 2, 9, "x", &entries, &count, &meta, &e), -1);
}

static void folder_refused(const char *index, const char *word)
{
    struct err e = {0};

    text_write("model.safetensors.index.json", index);
    assert_null(st_open_folder(root, &e));
    say_missing(&e, word);
    assert_int_equal(e.kind, ERR_USE);
}

static void bad_folders(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(st_open_folder(at("none"), &e));
    say_missing(&e, "not a folder");
    assert_null(st_open_folder(root, &e));
    say_missing(&e, "neither model.safetensors nor");
    text_write("m.gguf", "x");
    assert_null(st_open_folder(root, &e));
    say_missing(&e, "name one of them");
    shard_write("s1", "{" ONE("a", "0", "4") "," ONE("c", "4", "8") "}", 8);
    shard_write("s2", "{" ONE("b", "0", "4") "}", 4);
    shard_write("s3", "{" ONE("a", "0", "4") "}", 4);
    shard_write("s4", "{" ONE("d", "0", "4") "}", 2);
    folder_refused("{", "JSON");
    folder_refused("{}", "weight_map");
    folder_refused("{'weight_map':{}}", "weight_map");
    folder_refused("{'weight_map':{'a':1}}", "'a'");
    folder_refused("{'weight_map':{'a':'../s1'}}", "'../s1'");
    folder_refused("{'weight_map':{'a':'/etc/passwd'}}", "'/etc/passwd'");
    folder_refused("{'weight_map':{'a':'x\\\\s1'}}", "not the name of a file");
    folder_refused("{'weight_map':{'a':'..'}}", "not the name of a file");
    folder_refused("{'weight_map':{'a':''}}", "not the name of a file");
    folder_refused("{'weight_map':{'a':'s1','b':'s9'}}", "'s9' is missing");
    folder_refused("{'weight_map':{'a':'s1','z':'s2'}}", "'z' is not in shard 's2'");
    folder_refused("{'weight_map':{'a':'s1','c':'s2'}}", "'c' is not in shard 's2'");
    folder_refused("{'weight_map':{'a':'s1','x':'s3'}}", "'a' is in two shards, 's1' and 's3'");
    folder_refused("{'weight_map':{'d':'s4'}}", "truncated");
}

static void shards(void **state)
{
    struct err e = {0};
    struct st_set *s;
    float v;

    (void)state;
    shard_write(
        "s1", "{'__metadata__':{'format':'pt'}," ONE("c", "4", "8") "," ONE("a", "0", "4") "}", 8);
    shard_write("s2", "{" ONE("b", "0", "4") "}", 4);
    text_write("model.safetensors.index.json",
               "{'metadata':{},'weight_map':{'a':'s1','b':'s2','c':'s1'}}");
    s = st_open_folder(root, &e);
    assert_non_null(s);
    assert_int_equal(s->count, 3);
    assert_string_equal(s->entries[1].name, "b");
    assert_int_equal(s->entries[1].shard, 1);
    assert_string_equal(json_as_text(json_get(s->metadata, "format")), "pt");
    assert_null(st_find(s, "d"));
    assert_int_equal(st_load_rows_f32(s, st_find(s, "c"), 0, 1, &v, &e), 0);
    assert_memory_equal(&v, "\4\5\6\7", 4);
    st_close(&s);
    assert_null(s);
    st_close(&s);
}

/* ---- the writer ---- */

static const uint64_t SHAPE_A[2] = {3, 5}, SHAPE_B[1] = {7};

static size_t files_in_root(void)
{
    char **names;
    size_t n;
    struct err e = {0};

    assert_int_equal(fs_list(root, &names, &n, &e), 0);
    fs_names_free(&names, n);
    return n;
}

static struct st_writer *begun(const char *name)
{
    struct err e = {0};
    struct st_writer *w = st_create(at(name), &e);

    assert_non_null(w);
    assert_int_equal(st_declare(w, "b", DT_BF16, 1, SHAPE_B, &e), 0);
    assert_int_equal(st_declare(w, "a", DT_F32, 2, SHAPE_A, &e), 0);
    assert_int_equal(st_begin(w, &e), 0);
    return w;
}

static void bad_writing(void **state)
{
    struct err e = {0};
    struct st_writer *w;
    float a[15] = {0};

    (void)state;
    assert_null(st_create(at("no/such/folder"), &e));
    say_missing(&e, "no/such/folder");
    assert_null(st_create("/dev/null", &e));
    assert_int_equal(e.kind, ERR_USE);
    say_missing(&e, "not a regular file");
    w = st_create(at("x.safetensors"), &e);
    assert_int_equal(st_declare(w, "", DT_F32, 1, SHAPE_B, &e), -1);
    assert_int_equal(st_declare(w, "__metadata__", DT_F32, 1, SHAPE_B, &e), -1);
    assert_int_equal(st_put(w, "a", a, sizeof a, &e), -1);
    say_missing(&e, "before the header");
    assert_int_equal(st_declare(w, "a", DT_F32, 1, SHAPE_B, &e), 0);
    assert_int_equal(st_declare(w, "a", DT_BF16, 1, SHAPE_B, &e), 0);
    assert_int_equal(st_begin(w, &e), -1);
    say_missing(&e, "'a' is declared twice");
    assert_int_equal(st_publish(&w, &e), -1);
    assert_null(w);
    assert_int_equal(files_in_root(), 0);

    w = begun("x.safetensors");
    assert_int_equal(st_begin(w, &e), -1);
    assert_int_equal(st_meta(w, "k", "v", &e), -1);
    assert_int_equal(st_declare(w, "c", DT_F32, 1, SHAPE_B, &e), -1);
    assert_int_equal(st_put(w, "c", a, 4, &e), -1);
    say_missing(&e, "'c' was not declared");
    assert_int_equal(st_put(w, "a", a, 4, &e), -1);
    say_missing(&e, "given 4 bytes");
    assert_int_equal(st_put_part(w, "a", 4, a, 4, &e), -1);
    assert_int_equal(st_put(w, "a", a, sizeof a, &e), 0);
    assert_int_equal(st_put(w, "a", a, sizeof a, &e), -1);
    assert_int_equal(st_put_part(w, "a", sizeof a, a, 4, &e), -1);
    assert_int_equal(st_publish(&w, &e), -1);
    say_missing(&e, "'b' has 0 of its 14 bytes");
    assert_null(w);
    assert_int_equal(files_in_root(), 0);
    st_abort(&w);
}

static char *slurp(const char *name, size_t *n)
{
    struct err e = {0};
    char *text = fs_read(at(name), 1 << 20, n, &e);

    assert_non_null(text);
    return text;
}

static void round_trip(void **state)
{
    struct err e = {0};
    struct st_writer *w = begun("one.safetensors");
    struct st_set *s;
    struct tensor t;
    float a[15], rows[10], b[7];
    uint16_t b16[7];
    char *one, *two;
    size_t n, m;

    (void)state;
    for (int i = 0; i < 15; i++)
        a[i] = (float)i - 7.5f;
    for (int i = 0; i < 7; i++)
        b16[i] = f32_to_bf16((float)i);
    assert_int_equal(st_put(w, "b", b16, sizeof b16, &e), 0);
    assert_int_equal(st_put_part(w, "a", 0, a, 20, &e), 0);
    assert_int_equal(st_put_part(w, "a", 20, a + 5, 40, &e), 0);
    assert_false(fs_exists(at("one.safetensors")));
    assert_int_equal(st_publish(&w, &e), 0);
    assert_int_equal(files_in_root(), 1);

    s = st_open(at("one.safetensors"), &e);
    assert_non_null(s);
    assert_string_equal(json_as_text(json_get(s->metadata, "format")), "pt");
    assert_true(st_find(s, "a")->offset < st_find(s, "b")->offset);
    assert_int_equal(st_find(s, "a")->offset % 8, 0);
    assert_int_equal(st_load(s, st_find(s, "a"), &t, &e), 0);
    assert_memory_equal(t.data, a, sizeof a);
    tensor_release(&t);
    assert_int_equal(st_load_rows_f32(s, st_find(s, "a"), 1, 2, rows, &e), 0);
    assert_memory_equal(rows, a + 5, sizeof rows);
    assert_int_equal(st_load_rows_f32(s, st_find(s, "a"), 2, 2, rows, &e), -1);
    assert_int_equal(st_load_rows_f32(s, st_find(s, "a"), UINT64_MAX, 2, rows, &e), -1);
    assert_int_equal(st_load_rows_f32(s, st_find(s, "b"), 2, 5, b, &e), 0);
    assert_true(b[0] == 2 && b[4] == 6);

    /* The same tensors in another order, one of them copied: the same bytes. */
    w = st_create(at("two.safetensors"), &e);
    assert_int_equal(st_declare(w, "a", DT_F32, 2, SHAPE_A, &e), 0);
    assert_int_equal(st_declare(w, "b", DT_BF16, 1, SHAPE_B, &e), 0);
    assert_int_equal(st_begin(w, &e), 0);
    assert_int_equal(st_copy(w, "a", s, st_find(s, "b"), &e), -1);
    assert_int_equal(st_copy(w, "a", s, st_find(s, "a"), &e), 0);
    assert_int_equal(st_copy(w, "b", s, st_find(s, "b"), &e), 0);
    assert_int_equal(st_publish(&w, &e), 0);
    one = slurp("one.safetensors", &n);
    two = slurp("two.safetensors", &m);
    assert_int_equal(n, m);
    assert_memory_equal(one, two, n);
    free(one);
    free(two);
    st_close(&s);
}

/* Conversion in blocks: more than one block of every 16-bit type. */
static void big_rows(void **state)
{
    const uint64_t shape[2] = {3, 400000};
    struct err e = {0};
    struct st_writer *w = st_create(at("big.safetensors"), &e);
    size_t n = 1200000;
    uint16_t *h = malloc(n * 2);
    float *f = malloc(n * 4);
    struct st_set *s;

    (void)state;
    for (size_t i = 0; i < n; i++)
        h[i] = f32_to_f16((float)(i % 2048));
    assert_int_equal(st_declare(w, "h", DT_F16, 2, shape, &e), 0);
    assert_int_equal(st_declare(w, "i", DT_I16, 2, shape, &e), 0);
    assert_int_equal(st_begin(w, &e), 0);
    assert_int_equal(st_put(w, "h", h, n * 2, &e), 0);
    assert_int_equal(st_put(w, "i", h, n * 2, &e), 0);
    assert_int_equal(st_publish(&w, &e), 0);
    s = st_open(at("big.safetensors"), &e);
    assert_int_equal(st_load_rows_f32(s, st_find(s, "h"), 1, 2, f, &e), 0);
    for (size_t i = 0; i < 800000; i++)
        if (f[i] != (float)((i + 400000) % 2048))
            fail_msg("element %zu", i);
    assert_int_equal(st_load_rows_f32(s, st_find(s, "i"), 0, 1, f, &e), -1);
    say_missing(&e, "'i' has dtype I16");
    st_close(&s);
    free(h);
    free(f);
}

/* A limit on file size stands for a full disk: both are an error of a write. */
/* A tensor [2, 33, 40] whose matrices are read as [40, 33], put by matrices in any order. */
static void turned_matrices(void **state)
{
    enum { E = 2, K = 33, N = 40 };
    static const uint64_t shape[3] = {E, K, N}, turned_shape[2] = {N, K};
    static uint16_t x[E][K][N];
    static float row[2 * K], all[N * K];
    struct err e = {0};
    struct st_writer *w = st_create(at("t.safetensors"), &e);
    struct st_entry one, v;
    struct st_set *s;
    struct tensor t;

    (void)state;
    for (size_t i = 0; i < sizeof x / 2; i++)
        (&x[0][0][0])[i] = (uint16_t)(0x3f80 + i % 4000); /* BF16 */
    assert_int_equal(st_declare(w, "x", DT_BF16, 3, shape, &e), 0);
    assert_int_equal(st_begin(w, &e), 0);
    assert_int_equal(st_put_at(w, "x", sizeof x[0] + 1, x[1], sizeof x[1], &e), -1);
    say_missing(&e, "'x'");
    assert_int_equal(st_put_at(w, "x", sizeof x[0], x[1], sizeof x[1], &e), 0);
    assert_int_equal(st_put_at(w, "x", 0, x, sizeof x, &e), -1);
    assert_int_equal(st_put_at(w, "x", 0, x[0], sizeof x[0], &e), 0);
    assert_int_equal(st_publish(&w, &e), 0);

    assert_non_null(s = st_open(at("t.safetensors"), &e));
    assert_int_equal(st_turn(s, st_find(s, "x"), 2, &one, &e), -1);
    assert_int_equal(st_cut_vector(s, st_find(s, "x"), E * K * N - 1, 2, &v, &e), -1);
    say_missing(&e, "2640 elements");
    assert_int_equal(st_turn(s, st_find(s, "x"), 1, &one, &e), 0);
    assert_int_equal(one.ndim, 2);
    assert_memory_equal(one.shape, turned_shape, sizeof turned_shape);
    assert_int_equal(st_load(s, &one, &t, &e), 0);
    assert_int_equal(st_load_rows_f32(s, &one, 0, N, all, &e), 0);
    assert_int_equal(st_load_rows_f32(s, &one, 37, 2, row, &e), 0);
    for (size_t n = 0; n < N; n++)
        for (size_t k = 0; k < K; k++) {
            const uint32_t bits = (uint32_t)x[1][k][n] << 16;

            assert_int_equal(((const uint16_t *)t.data)[n * K + k], x[1][k][n]);
            assert_memory_equal(&all[n * K + k], &bits, 4);
            if (n == 37 || n == 38)
                assert_memory_equal(&row[(n - 37) * K + k], &bits, 4);
        }
    tensor_release(&t);
    assert_int_equal(st_cut_vector(s, st_find(s, "x"), K * N + 3, 1, &v, &e), 0);
    assert_int_equal(st_load(s, &v, &t, &e), 0);
    assert_int_equal(*(const uint16_t *)t.data, x[1][0][3]);
    tensor_release(&t);
    st_close(&s);
}

static void full_disk(void **state)
{
    const uint64_t shape[1] = {1000000};
    struct rlimit old, low = {4096, 4096};
    struct err e = {0};
    struct st_writer *w = st_create(at("full.safetensors"), &e), *v = begun("late.safetensors");
    float *f = calloc(1000000, 4);

    (void)state;
    assert_int_equal(st_declare(w, "x", DT_F32, 1, shape, &e), 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    low.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_int_equal(st_begin(w, &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    say_missing(&e, "full.safetensors");
    st_abort(&w);
    low.rlim_cur = 16;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_int_equal(st_put(v, "a", f, 60, &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    say_missing(&e, "late.safetensors");
    assert_int_equal(st_publish(&v, &e), -1);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(files_in_root(), 0);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(bad_layout),
        cmocka_unit_test_setup_teardown(bad_files, root_make, root_remove),
        cmocka_unit_test_setup_teardown(bad_folders, root_make, root_remove),
        cmocka_unit_test_setup_teardown(bad_writing, root_make, root_remove),
        cmocka_unit_test(header_of_nothing),
        cmocka_unit_test_setup_teardown(shards, root_make, root_remove),
        cmocka_unit_test_setup_teardown(round_trip, root_make, root_remove),
        cmocka_unit_test_setup_teardown(big_rows, root_make, root_remove),
        cmocka_unit_test_setup_teardown(turned_matrices, root_make, root_remove),
        cmocka_unit_test_setup_teardown(full_disk, root_make, root_remove),
    };

    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
