/* SPDX-License-Identifier: Apache-2.0 */
/* import_pre - how a byte-level tokenizer cuts text before it merges: the names that llama.cpp
 * gives to that (tokenizer.ggml.pre), each as a pre_tokenizer of tokenizer.json.
 *
 * A GGUF file says the name alone. Patterns are those of the models' own tokenizer.json (as
 * src/llama-vocab.cpp of llama.cpp quotes them); several are applied one after the other, each
 * to the pieces that the one before left. Left out: what is more than patterns (kimi-k2, afmoe,
 * superbpe), what does not work on bytes (gemma4, sarvam-moe, whitespace), encoders. */
#include <stdio.h>
#include <string.h>
#include "import.h"

#define KEY "tokenizer.ggml.pre"

/* Pieces of the patterns. */
#define TAILS "'s|'t|'re|'ve|'m|'ll|'d"
#define ANY_TAILS "(?i:" TAILS ")"
#define LINES "\\s*[\\r\\n]+"
#define SPACES "\\s+(?!\\S)|\\s+"
#define MARKS " ?[^\\s\\p{L}\\p{N}]+"
#define BEFORE "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

static const char GPT2[] = TAILS "| ?\\p{L}+| ?\\p{N}+|" MARKS "|" SPACES;
static const char DIGIT[] = "\\p{N}";
static const char DIGITS3[] = "\\p{N}{1,3}";

/* The family of GPT-4's: digits in ones or up to three. */
#define WORDS(number) \
    ANY_TAILS "|" BEFORE "\\p{L}+|\\p{N}" number "|" MARKS "[\\r\\n]*|" LINES "|" SPACES
static const char WORDS_1[] = WORDS("");
static const char WORDS_3[] = WORDS("{1,3}");
static const char WORDS_ALL[] = WORDS("+");
static const char WORDS_MARKED[] = ANY_TAILS
    "|" BEFORE "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" LINES "|" SPACES;
static const char WORDS_TURKISH[] = BEFORE "\\p{L}+|\\p{N}|" MARKS "[\\r\\n]*|" LINES "|" SPACES;
static const char WORDS_SEED[] =
    ANY_TAILS "|" BEFORE "\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" LINES "|" SPACES;
static const char WORDS_BAILING[] =
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^"
    "\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|" SPACES;
static const char WORDS_EXAONE[] =
    ANY_TAILS "|" BEFORE "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}|" MARKS
              "[\\r\\n/]?|\\s*[\\r\\n]|" SPACES;
static const char WORDS_JAIS[] = ANY_TAILS
    "|" BEFORE "\\p{L}+|\\p{N}{1,3}|" MARKS "[\\r\\n]*|" LINES
    "|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)"
    "|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}";

/* The family of GPT-4o's: words by case. */
#define CASES(tail, number)                                                                        \
    BEFORE UPPER "*" LOWER "+" tail "|" BEFORE UPPER "+" LOWER "*" tail "|\\p{N}" number "|" MARKS \
                 "[\\r\\n/]*|" LINES "|" SPACES
static const char CASES_TEKKEN[] = CASES("", "");
static const char CASES_GPT4O[] = CASES(ANY_TAILS "?", "{1,3}");
static const char CASES_YOUTU[] = CASES(ANY_TAILS "?", "");

/* DeepSeek's. */
static const char LINE[] = "[\\r\\n]";
static const char HAN[] = "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+";
static const char KANA[] = "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+";
static const char STOPS[] = "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}"
                            "\\x{3000}-\\x{3002}]+";
static const char LINE_ENDS[] = "\\s+$";
static const char NUMBER[] = "\\p{N}+";
static const char SPACE_WORD[] = "\\s?\\p{L}+";
static const char SPACE_MARK[] = "\\s?\\p{P}+";
#define ASCII_MARK "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
#define MARKED_WORD "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
static const char WORDS_DEEPSEEK3[] =
    ASCII_MARK "|" MARKED_WORD "| ?[\\p{P}\\p{S}]+[\\r\\n]*|" LINES "|" SPACES;
static const char WORDS_SPARK[] = ASCII_MARK "|" MARKED_WORD "| ?[\\p{P}\\p{S}]+|[\\r\\n]|" SPACES;
/* Letters with case, of the scripts that DeepSeek's first tokenizer names. */
static const char LETTERS[] =
    "\\s?["
    "\\x{41}-\\x{5A}\\x{61}-\\x{7A}\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}"
    "\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}"
    "\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}"
    "\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}"
    "\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"
    "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}"
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}"
    "\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}"
    "\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}"
    "\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}"
    "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}"
    "\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}"
    "\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}"
    "\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}"
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}"
    "\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}"
    "\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}"
    "\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"
    "]+";

/* Others. */
static const char FALCON_MARKS[] = "[\\p{P}\\$\\+<=>\\^~\\|`]+";
static const char FALCON_DIGITS[] = "[0-9][0-9][0-9]";
static const char NO_STOPS[] = " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}"
                               "\\x{60C})]+";
static const char YOUTU_SCRIPTS[] =
    "[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}"
    "\\x{2019}\\x{2014}\\x{FF1A}\\x{FF1B}\\x{FF0C}\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+"
    "|[\\x{3105}-\\x{312F}]+|[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+";
static const char AYA_DIGITS[] = "\\d{1,3}(?=(?:\\d{3})*\\b)";
static const char WHOLE_LINES[] = "[^\\n]+|[\\n]+";

static const struct import_pre PRES[] = {
    {"gpt-2", {GPT2}, 0, 0, 0},
    {"phi-2", {GPT2}, 0, 0, 0},
    {"jina-es", {GPT2}, 0, 0, 0},
    {"jina-de", {GPT2}, 0, 0, 0},
    {"jina-v2-es", {GPT2}, 0, 0, 0},
    {"jina-v2-de", {GPT2}, 0, 0, 0},
    {"gigachat", {GPT2}, 0, 0, 0},
    {"a.x-4.0", {GPT2}, 0, 0, 0},
    {"mellum", {GPT2}, 0, 0, 0},
    {"jais", {GPT2}, 0, 0, 0},
    {"trillion", {GPT2}, 0, 0, 0},
    {"granite-docling", {GPT2}, 0, 0, 0},
    {"exaone4", {GPT2}, 0, 0, 0},
    {"mpt", {GPT2}, 1, 0, 0},
    {"olmo", {GPT2}, 1, 0, 0},
    {"smollm", {DIGIT, GPT2}, 0, 0, 0},
    {"starcoder", {DIGIT, GPT2}, 0, 0, 0},
    {"refact", {DIGIT, GPT2}, 0, 0, 0},
    {"codeshell", {DIGIT, GPT2}, 0, 0, 0},
    {"exaone", {DIGIT, GPT2}, 0, 0, 0},
    {"minerva-7b", {DIGIT, GPT2}, 0, 0, 0},
    {"mellum2", {DIGIT, GPT2}, 0, 0, 0},
    {"command-r", {DIGIT, GPT2}, 1, 0, 0},
    {"llama-bpe", {WORDS_3}, 0, 1, 1},
    {"llama3", {WORDS_3}, 0, 1, 1},
    {"llama-v3", {WORDS_3}, 0, 1, 1},
    {"falcon3", {WORDS_3}, 0, 1, 1},
    {"falcon-h1", {WORDS_3}, 0, 1, 1},
    {"pixtral", {WORDS_3}, 0, 1, 1},
    {"midm-2.0", {WORDS_3}, 0, 1, 1},
    {"lfm2", {WORDS_3}, 0, 1, 1},
    {"jina-v5-nano", {WORDS_3}, 0, 1, 1},
    {"smaug-bpe", {WORDS_3}, 0, 0, 0},
    {"dbrx", {WORDS_3}, 0, 0, 0},
    {"glm4", {WORDS_3}, 0, 0, 0},
    {"chatglm-bpe", {WORDS_3}, 0, 0, 0},
    {"qwen2", {WORDS_1}, 1, 0, 0},
    {"deepseek-r1-qwen", {WORDS_1}, 1, 0, 0},
    {"kormo", {WORDS_1}, 0, 0, 0},
    {"f2llmv2", {WORDS_1}, 0, 0, 0},
    {"megrez", {WORDS_1}, 0, 0, 0},
    {"stablelm2", {WORDS_1}, 0, 0, 0},
    {"hunyuan", {WORDS_1}, 0, 0, 0},
    {"solar-open", {WORDS_1}, 0, 0, 0},
    {"grok-2", {WORDS_1}, 0, 0, 0},
    {"qwen35", {WORDS_MARKED}, 1, 0, 0},
    {"ufakzeka", {WORDS_TURKISH}, 0, 0, 0},
    {"seed-coder", {WORDS_SEED}, 0, 0, 0},
    {"bailingmoe", {WORDS_BAILING}, 0, 0, 0},
    {"bailingmoe2", {WORDS_BAILING}, 0, 0, 0},
    {"llada-moe", {WORDS_BAILING}, 0, 0, 0},
    {"exaone-moe", {WORDS_EXAONE}, 0, 0, 0},
    {"jais-2", {WORDS_JAIS}, 0, 0, 0},
    {"minicpm5", {DIGITS3, WORDS_ALL}, 0, 1, 0},
    {"laguna", {WHOLE_LINES, WORDS_1}, 0, 0, 0},
    {"tekken", {CASES_TEKKEN}, 0, 1, 1},
    {"gpt-4o", {CASES_GPT4O}, 0, 0, 0},
    {"llama4", {CASES_GPT4O}, 0, 0, 0},
    {"kanana2", {CASES_GPT4O}, 0, 0, 0},
    {"talkie", {CASES_GPT4O}, 0, 0, 0},
    {"minimax-m2", {CASES_GPT4O}, 0, 0, 0},
    {"tiny_aya", {AYA_DIGITS, CASES_GPT4O}, 0, 0, 0},
    {"cohere2moe", {AYA_DIGITS, CASES_GPT4O}, 0, 0, 0},
    {"youtu", {YOUTU_SCRIPTS, CASES_YOUTU}, 0, 1, 0},
    {"deepseek-llm", {LINE, LETTERS, STOPS, LINE_ENDS, HAN, NUMBER}, 0, 0, 0},
    {"deepseek-coder", {LINE, SPACE_WORD, SPACE_MARK, HAN, DIGIT}, 0, 0, 0},
    {"deepseek-v3", {DIGITS3, KANA, WORDS_DEEPSEEK3}, 0, 0, 0},
    {"hunyuan-dense", {DIGITS3, KANA, WORDS_DEEPSEEK3}, 0, 0, 0},
    {"joyai-llm", {DIGITS3, KANA, WORDS_DEEPSEEK3}, 0, 0, 0},
    {"hy_v4", {DIGITS3, KANA, WORDS_DEEPSEEK3}, 0, 0, 0},
    {"spark2_5", {DIGITS3, KANA, WORDS_SPARK, DIGIT}, 0, 0, 0},
    {"falcon", {FALCON_MARKS, GPT2, FALCON_DIGITS}, 0, 0, 0},
    {"poro-chat", {NO_STOPS}, 0, 0, 0},
    {"bloom", {NO_STOPS}, 0, 0, 0},
    {"gpt3-finnish", {NO_STOPS}, 0, 0, 0},
    {"viking", {NO_STOPS, DIGIT}, 0, 0, 0}};

#define COUNT (sizeof PRES / sizeof PRES[0])

/* Vocabularies that can be told by a token that no other has and by their size. */
static const struct {
    const char *token;
    size_t least, most; /* tokens */
    const char *pre, *whose;
} HINTS[] = {{"<|begin_of_text|>", 128000, 129000, "llama-bpe", "Llama 3"},
             {"<|im_start|>", 151000, 152100, "qwen2", "Qwen 2 or 3"},
             {"[MIDDLE]", 131000, 131100, "tekken", "Mistral Nemo"},
             {"<|endoftext|>", 50257, 50257, "gpt-2", "GPT-2"}};

const struct import_pre *import_pre_at(size_t i)
{
    return i < COUNT ? &PRES[i] : NULL;
}

static const struct import_pre *find(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(PRES[i].name, name) == 0)
            return &PRES[i];
    return NULL;
}

static int has_token(const struct json *tokens, const char *text)
{
    for (size_t i = json_count(tokens); i-- > 0;) /* special tokens stand at the end */
        if (strcmp(json_as_text(json_at(tokens, i)), text) == 0)
            return 1;
    return 0;
}

/* What the vocabulary looks like, as the end of a sentence. */
static void hint_say(const struct json *tokens, char *out, size_t n)
{
    size_t count = json_count(tokens);

    snprintf(out, n, "ptq-import(1) lists the names");
    for (size_t i = 0; i < sizeof HINTS / sizeof HINTS[0]; i++)
        if (count >= HINTS[i].least && count <= HINTS[i].most &&
            has_token(tokens, HINTS[i].token)) {
            snprintf(out, n, "its vocabulary looks like that of %s, which is --pre %s",
                     HINTS[i].whose, HINTS[i].pre);
            return;
        }
}

const struct import_pre *import_pre_read(const struct gguf *g, const char *asked, struct err *e)
{
    const char *said = json_as_text(json_get(g->meta, KEY));
    const struct import_pre *p = asked || said ? find(asked ? asked : said) : NULL;
    char hint[128];

    if (p)
        return p;
    hint_say(json_get(g->meta, "tokenizer.ggml.tokens"), hint, sizeof hint);
    if (asked)
        err_set(e, ERR_USE, "--pre '%.64s': no such pre-tokenizer; %s", asked, hint);
    else if (!said || !*said || strcmp(said, "default") == 0)
        err_set(e, ERR_USE,
                "%s: key '" KEY "' %s, so the file does not say how its tokenizer cuts text, and a "
                "wrong cut gives wrong tokens without a word; name it with --pre NAME (%s)",
                g->path, said && *said ? "is 'default'" : "is missing", hint);
    else
        err_set(e, ERR_USE,
                "%s: key '" KEY "': pre-tokenizer '%.64s' is not known; if it cuts as another one "
                "does, name that with --pre NAME (%s)",
                g->path, said, hint);
    return NULL;
}

/* ---- as JSON ---- */

static struct json *byte_level(int use_regex)
{
    struct json *j = json_new_object();

    if (j && json_set_text(j, "type", "ByteLevel") == 0 &&
        json_set_bool(j, "add_prefix_space", 0) == 0 && json_set_bool(j, "trim_offsets", 1) == 0 &&
        json_set_bool(j, "use_regex", use_regex) == 0)
        return j;
    json_destroy(&j);
    return NULL;
}

static struct json *split(const char *pattern)
{
    struct json *j = json_new_object(), *p = json_new_object();
    int rc = 0;

    if (pattern == DIGIT) {
        rc = json_set_text(j, "type", "Digits") || json_set_bool(j, "individual_digits", 1);
        json_destroy(&p);
    } else {
        rc = json_set_text(j, "type", "Split") || json_set_text(p, "Regex", pattern);
        rc = json_set(j, "pattern", p) || rc;
        rc = rc || json_set_text(j, "behavior", "Isolated") || json_set_bool(j, "invert", 0);
    }
    if (rc)
        json_destroy(&j);
    return j;
}

struct json *import_pre_cut(const struct import_pre *p)
{
    struct json *j, *list;
    size_t n = 0;
    int gpt2, rc = 0;

    while (n < IMPORT_PRE_PATTERNS && p->pattern[n])
        n++;
    gpt2 = p->pattern[n - 1] == GPT2; /* ByteLevel's own */
    if (n == 1 && gpt2)
        return byte_level(1);
    j = json_new_object();
    list = json_new_array();
    for (size_t i = 0; i < n - (size_t)gpt2; i++)
        rc |= json_push(list, split(p->pattern[i]));
    rc |= json_push(list, byte_level(gpt2));
    rc |= json_set_text(j, "type", "Sequence");
    rc |= json_set(j, "pretokenizers", list);
    if (rc)
        json_destroy(&j);
    return j;
}
