/* SPDX-License-Identifier: Apache-2.0 */
/* pre_names - the table of names, and pre_tokenizer objects made from it and looked up in it.
 *
 * Patterns are those of the models' own tokenizer.json (as src/llama-vocab.cpp of llama.cpp quotes
 * them); several are applied one after the other, each to the pieces that the one before left.
 * Left out: what is more than patterns (kimi-k2, afmoe, superbpe), what does not work on bytes
 * (gemma4, sarvam-moe, whitespace), encoders. */
#include "pre_names.h"

#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "unicode.h"

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

static const struct pre_name PRES[] = {
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

const struct pre_name *pre_name_at(size_t i)
{
    return i < COUNT ? &PRES[i] : NULL;
}

const struct pre_name *pre_name_find(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(PRES[i].name, name) == 0)
            return &PRES[i];
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

struct json *pre_name_cut(const struct pre_name *p)
{
    struct json *j, *list;
    size_t n = 0;
    int gpt2, rc = 0;

    while (n < PRE_NAME_PATTERNS && p->pattern[n])
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

/* ---- from JSON ---- */

#define HEX "\\x{"

/* The patterns of a pre_tokenizer in order; n: -1 when it is more than patterns. */
struct cuts {
    const char *pattern[PRE_NAME_PATTERNS];
    int n;
};

static void cuts_add(struct cuts *c, const char *pattern)
{
    if (c->n < 0 || !pattern || c->n == PRE_NAME_PATTERNS)
        c->n = -1;
    else
        c->pattern[c->n++] = pattern;
}

/* What is not found is cut too: where the pattern finds everything, taking it out or taking the
 * rest out inverted leaves the same pieces. */
static const char *split_pattern(const struct json *j)
{
    const char *how = json_text_or(j, "behavior", "");
    int invert = 0;

    json_as_bool(json_get(j, "invert"), &invert);
    return (strcmp(how, "Isolated") == 0 && !invert) || (strcmp(how, "Removed") == 0 && invert)
               ? json_as_text(json_get(json_get(j, "pattern"), "Regex"))
               : NULL;
}

static void cuts_read(const struct json *j, struct cuts *c)
{
    const char *type = json_text_or(j, "type", "");
    const struct json *list = json_get(j, "pretokenizers");
    int yes = 0;

    if (strcmp(type, "Sequence") == 0) {
        for (size_t i = 0; i < json_count(list); i++)
            if (strcmp(json_text_or(json_at(list, i), "type", ""), "Sequence") != 0)
                cuts_read(json_at(list, i), c);
            else
                c->n = -1;
    } else if (strcmp(type, "Split") == 0) {
        cuts_add(c, split_pattern(j));
    } else if (strcmp(type, "Digits") == 0) {
        json_as_bool(json_get(j, "individual_digits"), &yes);
        cuts_add(c, yes ? DIGIT : NULL);
    } else if (strcmp(type, "ByteLevel") == 0) {
        json_as_bool(json_get(j, "add_prefix_space"), &yes);
        if (yes)
            c->n = -1;
        yes = 1; /* early files do not say use_regex */
        json_as_bool(json_get(j, "use_regex"), &yes);
        if (yes)
            cuts_add(c, GPT2);
    } else {
        c->n = -1;
    }
}

/* A copy with the characters that \x{...} stands for. */
static char *plain(const char *pattern, struct err *e)
{
    char *out = mem_array(strlen(pattern) + 1, 1, e), *to = out, *end;

    while (out && *pattern) {
        const unsigned long c =
            strncmp(pattern, HEX, 3) == 0 ? strtoul(pattern + 3, &end, 16) : 0x110000;

        if (c >= 0x110000 || *end != '}') {
            *to++ = *pattern++;
            continue;
        }
        to += unicode_put((uint32_t)c, to); /* never longer than how it is spelled */
        pattern = end + 1;
    }
    return out;
}

/* 1, 0, -1 */
static int same_pattern(const char *a, const char *b, struct err *e)
{
    char *x = plain(a, e), *y = x ? plain(b, e) : NULL;
    const int same = y ? strcmp(x, y) == 0 : -1;

    free(x);
    free(y);
    return same;
}

static int cuts_alike(const struct cuts *c, const struct pre_name *p, struct err *e)
{
    int same = 1;

    for (size_t i = 0; same > 0 && i < PRE_NAME_PATTERNS; i++) {
        const char *mine = (int)i < c->n ? c->pattern[i] : NULL;

        same =
            mine && p->pattern[i] ? same_pattern(mine, p->pattern[i], e) : !mine && !p->pattern[i];
    }
    return same;
}

const struct pre_name *pre_name_of(const struct json *cut, int nfc, int ignore_merges,
                                   struct err *e)
{
    const struct pre_name *found = NULL;
    struct cuts c = {.n = 0};

    cuts_read(cut, &c);
    for (size_t i = 0; c.n > 0 && i < COUNT; i++) {
        const struct pre_name *p = &PRES[i];
        const int same =
            p->ignore_merges == ignore_merges && (!found || (found->nfc != nfc && p->nfc == nfc))
                ? cuts_alike(&c, p, e)
                : 0;

        if (same < 0)
            return NULL;
        found = same ? p : found;
    }
    if (!found)
        err_set(e, ERR_USE, "its pre_tokenizer cuts text in a way that llama.cpp has no name for");
    return found;
}
