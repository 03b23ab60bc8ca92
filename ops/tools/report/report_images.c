/* SPDX-License-Identifier: Apache-2.0 */
/* report_images - section on the images that calibrated the run: what they and their words share of
 * the tokens, and the first of them as the model takes them in, with the grid of their tokens and,
 * where tokens were weighed, what each counts. Pictures lie in the page itself. */
#include "sections.h"

#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "../../../common/base/plural.h"
#include "../../../common/text/base64.h"
#include "report_pictures.h"

#define BMP_HEAD 54

static void put_le(unsigned char *at, size_t bytes, size_t v)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)(v >> 8 * i);
}

/* A BMP file, which needs no packing: rows from below, blue first, each of a multiple of 4 bytes.
 * The caller frees. */
static unsigned char *bmp_make(const struct report_picture *x, size_t *size, struct err *e)
{
    const size_t row = (3 * x->w + 3) / 4 * 4;
    unsigned char *out = mem_array(BMP_HEAD + row * x->h, 1, e);

    if (!out)
        return NULL;
    *size = BMP_HEAD + row * x->h;
    memcpy(out, "BM", 2);
    put_le(out + 2, 4, *size);
    put_le(out + 10, 4, BMP_HEAD);
    put_le(out + 14, 4, 40);
    put_le(out + 18, 4, x->w);
    put_le(out + 22, 4, x->h);
    put_le(out + 26, 2, 1);
    put_le(out + 28, 2, 24);
    for (size_t i = 0; i < x->h * x->w; i++)
        for (size_t c = 0; c < 3; c++)
            out[BMP_HEAD + (x->h - 1 - i / x->w) * row + 3 * (i % x->w) + c] =
                x->rgb[3 * i + 2 - c];
    return out;
}

static int put_pixels(struct page *p, const struct report_picture *x)
{
    size_t size = 0;
    unsigned char *bmp = bmp_make(x, &size, p->e);
    char *text = bmp ? base64_write(bmp, size, p->e) : NULL;

    if (text)
        fprintf(p->f,
                "<image width=\"%zu\" height=\"%zu\" preserveAspectRatio=\"none\" "
                "href=\"data:image/bmp;base64,%s\"/>\n",
                x->w, x->h, text);
    free(bmp);
    free(text);
    return text ? 0 : -1;
}

/* The heavier a token, the less of the picture below it is covered. */
static void put_heat(struct page *p, const struct report_picture *x)
{
    const double range = x->heaviest - x->lightest;

    for (size_t i = 0; x->heat && range > 0 && i < x->down * x->across; i++)
        fprintf(p->f,
                "<rect class=\"c6\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
                "fill-opacity=\"%.2f\"><title>%.3g</title></rect>\n",
                (double)(i % x->across * x->w) / (double)x->across,
                (double)(i / x->across * x->h) / (double)x->down, (double)x->w / (double)x->across,
                (double)x->h / (double)x->down, 0.7 * ((double)x->heat[i] - x->lightest) / range,
                (double)x->heat[i]);
}

static void put_grid(struct page *p, const struct report_picture *x)
{
    fputs("<path class=\"grid\" stroke-width=\"0.4\" d=\"", p->f);
    for (size_t i = 0; i <= x->across && x->down; i++)
        fprintf(p->f, "M%.2f 0V%zu", (double)(i * x->w) / (double)x->across, x->h);
    for (size_t i = 0; i <= x->down && x->down; i++)
        fprintf(p->f, "M0 %.2fH%zu", (double)(i * x->h) / (double)x->down, x->w);
    fputs("\"/>\n", p->f);
}

static void put_caption(struct page *p, const struct report_picture *x)
{
    fprintf(p->f, "<figcaption class=\"sub\">chunk %llu: %zu × %zu pixels, %zu tokens",
            (unsigned long long)x->chunk, x->width, x->height, x->tokens);
    if (x->times > 1)
        fprintf(p->f, ", there %zu times", x->times);
    if (x->heat)
        fprintf(p->f, "; a token counts %.3g to %.3g", x->lightest, x->heaviest);
    fputs("</figcaption>", p->f);
}

static int put_picture(struct page *p, const struct report_picture *x)
{
    fputs("<figure>", p->f);
    if (x->rgb) {
        fprintf(p->f,
                "<svg viewBox=\"0 0 %zu %zu\" role=\"img\"><title>calibration image</title>\n",
                x->w, x->h);
        if (put_pixels(p, x) < 0)
            return -1;
        put_heat(p, x);
        put_grid(p, x);
        fputs("</svg>", p->f);
    }
    put_caption(p, x);
    fputs("</figure>\n", p->f);
    return 0;
}

static void share_row(struct page *p, const char *name, uint64_t tokens, uint64_t all)
{
    page_row(p);
    page_cell(p, name);
    page_count(p, (int64_t)tokens);
    page_percent(p, all ? (double)tokens / (double)all : 0);
    page_row_end(p);
}

static void share_table(struct page *p, const struct report_pictures *x)
{
    static const char *const head[] = {"<modality", "tokens", "share"};
    const uint64_t all = x->text + x->image;

    page_table(p, NULL, head, sizeof head / sizeof *head);
    share_row(p, "images", x->image, all);
    share_row(p, "text", x->text, all);
    share_row(p, "text: what the model is to say", x->answer, all);
    page_table_end(p, NULL);
}

static int has_heat(const struct report_pictures *x)
{
    for (size_t i = 0; i < x->shown; i++)
        if (x->at[i].heat)
            return 1;
    return 0;
}

int section_images(struct page *p)
{
    const struct report_pictures *x = p->r->pictures;

    if (!x)
        return 0;
    page_head(p, "Calibration images");
    page_note(p, "",
              "%zu image%s, %zu of them different, in %zu sequence%s of %zu chunk%s; %zu "
              "sequence%s without one.",
              x->images, plural_s(x->images), x->distinct, x->sequences, plural_s(x->sequences),
              x->chunks, plural_s(x->chunks), x->without, plural_s(x->without));
    share_table(p, x);
    if (!x->shown)
        return 0;
    page_note(p, "",
              "The first %zu, as the model takes them in, contrast stretched; of one that is "
              "divided into tiles the one with the whole picture. A field of the grid is a token. "
              "%s",
              x->shown,
              has_heat(x) ? "The redder it is, the more it counts in the sums: the weight that "
                            "came with the chunk, mean over the sites, 1 for a token of the mean."
                          : "All tokens count alike in these chunks: for weights from gradients "
                            "keep those of ptq importance (--out FILE).");
    fputs("<div class=\"pictures\">\n", p->f);
    for (size_t i = 0; i < x->shown; i++)
        if (put_picture(p, &x->at[i]) < 0)
            return -1;
    fputs("</div>\n", p->f);
    return 0;
}
