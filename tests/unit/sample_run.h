/* SPDX-License-Identifier: Apache-2.0 */
/* sample_run - for the tests of the sampler: small models whose tokens are letters, so that
 * every row can be told by eye, in a folder of their own below /tmp. */
#ifndef PTQ_TEST_SAMPLE_RUN_H
#define PTQ_TEST_SAMPLE_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/wire/msg_chunk.h"
#include "../../stages/sample/sample_opts.h"

static char dir[] = "/tmp/ptq-sample-XXXXXX";

/* A file below dir; the name stays good until the 64th next one. */
static inline const char *path_of(const char *name)
{
    static char path[64][128];
    static unsigned turn;
    char *p = path[turn++ % 64];

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static inline const char *write_file(const char *name, const char *text)
{
    const char *path = path_of(name);
    struct err e = {0};

    assert_int_equal(fs_publish(path, text, strlen(text), &e), 0);
    return path;
}

#define CONFIG(bos)                                                                               \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":8,\"num_" \
    "hidden_layers\":2,"                                                                          \
    "\"num_attention_heads\":1,\"num_key_value_heads\":1,\"intermediate_size\":8,\"vocab_size\":" \
    "30,\"max_position_embeddings\":16,"                                                          \
    "\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"hidden_act\":\"silu\",\"tie_word_"            \
    "embeddings\":true,\"bos_token_id\":" bos "}"

/* a is 1, b is 2, ... z is 26; <s> is 28 and stands in front of texts; # is 40: an added token
 * that is not in the model. */
static inline void write_model(const char *name, int tokenizer, const char *config)
{
    struct err e = {0};
    char path[64], text[2048] = "{\"added_tokens\":[{\"id\":28,\"content\":\"<s>\",\"special\":"
                                "true,\"normalized\":false},"
                                "{\"id\":40,\"content\":\"#\",\"normalized\":false}],"
                                "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{"
                                "\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}],"
                                "\"special_tokens\":{\"<s>\":{\"ids\":[28]}}},\"model\":{\"type\":"
                                "\"BPE\",\"merges\":[],\"vocab\":{\"a\":1";
    int c;

    assert_int_equal(fs_mkdir(path_of(name), &e), 0);
    for (c = 'b'; c <= 'z'; c++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ",\"%c\":%d", c, c - 'a' + 1);
    strcat(text, "}}}");
    snprintf(path, sizeof path, "%s/config.json", name);
    write_file(path, config);
    snprintf(path, sizeof path, "%s/tokenizer.json", name);
    if (tokenizer)
        write_file(path, text);
}

static inline int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    write_model("letters", 1, CONFIG("28"));
    write_model("bare", 0, CONFIG("null"));
    return 0;
}

static inline int tear_down(void **state)
{
    struct err e = {0};

    (void)state;
    return fs_remove_tree(dir, &e);
}

static inline struct sample_opts options(const char *model, const char *const *data, size_t n,
                                         uint64_t tokens, size_t length)
{
    struct sample_opts o = sample_opts_default();

    o.model = path_of(model);
    o.data = data;
    o.ndata = n;
    o.tokens = tokens;
    o.length = length;
    o.chunk_tokens = length;
    return o;
}

static inline void refused(struct sample_opts o, enum err_kind kind, const char *word)
{
    struct err e = {0};
    struct sample *s = sample_open(&o, &e);

    if (s || e.kind != kind || !strstr(e.text, word))
        fail_msg("'%s' (%d) is not about '%s'", e.text, e.kind, word);
}

static inline struct sample *opened(struct sample_opts o)
{
    struct err e = {0};
    struct sample *s = sample_open(&o, &e);

    if (!s)
        fail_msg("%s", e.text);
    return s;
}

/* All rows as one text: a letter a token, "^" for BOS, "|" behind each row. */
static inline void rows_text(const struct sample *s, char *out, size_t room)
{
    size_t c, used = 0;

    for (c = 0; c < sample_chunks(s); c++) {
        struct err e = {0};
        struct msg *m = sample_chunk(s, c, &e);
        struct chunk_view v;
        size_t i, j, at = 0;

        assert_non_null(m);
        assert_int_equal(chunk_read(m, &v, &e), 0);
        assert_int_equal(v.chunk, c);
        assert_int_equal(v.chunks, sample_chunks(s));
        assert_int_equal(v.vocab, 30);
        for (i = 0; i < v.nseq; i++, out[used++] = '|')
            for (j = 0; j < (size_t)v.lengths[i]; j++, at++) {
                assert_true(used + 2 < room);
                out[used++] = (char)(v.ids[at] == 28 ? '^' : 'a' + v.ids[at] - 1);
            }
        assert_int_equal(at, v.T);
        msg_destroy(&m);
    }
    out[used] = 0;
}

static inline void expect_rows_of(struct sample_opts o, const char *want)
{
    struct sample *s = opened(o);
    char text[1024];

    rows_text(s, text, sizeof text);
    assert_string_equal(text, want);
    sample_close(&s);
}

#define LINES                                                                               \
    "{\"text\":\"abc\"}\n{\"text\":\"\"}\n{\"text\":\"defghij\"}\n{\"text\":\"klmnop\"}\n{" \
    "\"text\":\"abc\"}\n"

#endif
