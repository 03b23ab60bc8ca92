/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-sample - reads calibration data, tokenizes it and sends it out in chunks. The core is
 * sample.c, its link is in sample_io.c. */
#include <stdio.h>

#include "../../common/base/log.h"
#include "../../common/base/plural.h"
#include "../../common/base/status.h"
#include "sample_io.h"
#include "sample_opts.h"

#define LENGTHS_SHOWN 12 /* one by one */

static void rows_log(const struct sample *s)
{
    char text[1024] = "";
    const size_t *length;
    size_t n = sample_lengths(s, &length), used = 0, i;

    if (n == 1)
        snprintf(text, sizeof text, "of %zu", length[0]);
    else if (n > LENGTHS_SHOWN)
        snprintf(text, sizeof text, "of %zu to %zu", length[n - 1], length[0]);
    for (i = n; n > 1 && n <= LENGTHS_SHOWN && i && used < sizeof text - 64; i--)
        used += (size_t)snprintf(
            text + used, sizeof text - used, "%s%zu: %llu%s", i == n ? "(" : ", ", length[i - 1],
            (unsigned long long)sample_rows_of(s, length[i - 1]), i == 1 ? ")" : "");
    log_info("%zu row%s %s = %llu tokens in %zu chunk%s, %zu lane%s; run %s", sample_rows(s),
             plural_s(sample_rows(s)), text, (unsigned long long)sample_tokens(s), sample_chunks(s),
             plural_s(sample_chunks(s)), sample_lanes(s), plural_s(sample_lanes(s)), sample_run(s));
}

/* The rows fill the budget exactly, and so some lengths may have none. */
static void lengths_warn(const struct sample *s)
{
    char text[512] = "";
    const size_t *length;
    size_t n = sample_lengths(s, &length), used = 0, none = 0;
    uint64_t round = 0;

    for (size_t i = n; i-- > 0;) {
        round += length[i];
        if (sample_rows_of(s, length[i]) || used >= sizeof text - 32)
            continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu", none++ ? ", " : "",
                                 length[i]);
    }
    if (none)
        log_warn("no row has %s %s of --lengths: other lengths alone fill %llu tokens; --tokens "
                 "that are a multiple of %llu have as many rows of each",
                 plural_word(none, "the length", "the lengths"), text,
                 (unsigned long long)sample_tokens(s), (unsigned long long)round);
}

/* Of pictures and of what they need, where there are any. */
static void images_log(const struct sample_audit *a)
{
    if (a->images)
        log_info("%llu image%s in them", (unsigned long long)a->images, plural_s(a->images));
    if (a->images_bad)
        log_warn("%llu chat%s left out because of an image, the first: %s",
                 (unsigned long long)a->images_bad, a->images_bad == 1 ? " was" : "s were",
                 a->first_bad);
    if (a->longer)
        log_warn("%llu document%s longer than a row may be, and left out",
                 (unsigned long long)a->longer, a->longer == 1 ? " was" : "s were");
}

static void audit_log(const struct sample *s, const struct sample_command *c)
{
    const struct sample_audit *a = sample_audit(s);
    uint64_t i;

    sample_files_log(s);
    rows_log(s);
    lengths_warn(s);
    log_info("documents: %llu read, %llu used (%llu not whole), %llu dropped, %llu passed over, "
             "%llu duplicate%s",
             (unsigned long long)a->read, (unsigned long long)a->used,
             (unsigned long long)a->cropped, (unsigned long long)a->dropped,
             (unsigned long long)a->passed, (unsigned long long)a->duplicates,
             plural_s(a->duplicates));
    for (i = 0; i < a->files; i++)
        log_detail("%s: %llu token%s read", c->data.text[i], (unsigned long long)a->file_tokens[i],
                   plural_s(a->file_tokens[i]));
    if (c->core.weights || c->core.token_weights || c->first_weight < 1 || c->first_weight > 1)
        log_info("effective sample size: %.0f tokens", a->effective);
    if (a->remainder)
        log_info("%llu token%s of the budget %s no row", (unsigned long long)a->remainder,
                 plural_s(a->remainder), a->remainder == 1 ? "makes" : "make");
    if (a->capped)
        log_warn("%llu of the lengths %s beyond the model's context: cut down to it",
                 (unsigned long long)a->capped, a->capped == 1 ? "is" : "are");
    if (a->joined)
        log_warn("%llu row%s cut from joined documents: too few documents are that long",
                 (unsigned long long)a->joined, a->joined == 1 ? " is" : "s are");
    if (a->chats)
        log_info("%llu of the documents %s", (unsigned long long)a->chats,
                 a->chats == 1 ? "is a chat" : "are chats");
    images_log(a);
    if (a->answers)
        log_info("%llu of the tokens are of answers", (unsigned long long)a->answers);
    if (a->lines_skipped)
        log_warn("%llu line%s no document and skipped, the first: %s",
                 (unsigned long long)a->lines_skipped, a->lines_skipped == 1 ? " is" : "s are",
                 a->first_skipped);
    if (a->chats_refused)
        log_warn("%llu chat%s refused by the template and skipped, the first: %s",
                 (unsigned long long)a->chats_refused, a->chats_refused == 1 ? " is" : "s are",
                 a->first_refused);
    if (a->repaired)
        log_warn("%llu document%s held bytes that are no UTF-8: %llu became U+FFFD, the first in "
                 "%s (text in another encoding: convert it, as with iconv)",
                 (unsigned long long)a->repaired, plural_s(a->repaired),
                 (unsigned long long)a->replaced, a->first_repaired);
    if (a->tokens_masked)
        log_info("attention_mask left %llu token%s out", (unsigned long long)a->tokens_masked,
                 plural_s(a->tokens_masked));
    if (a->bos_removed)
        log_warn("%llu chat%s began with BOS twice: one of them was taken off",
                 (unsigned long long)a->bos_removed, plural_s(a->bos_removed));
    if (a->weights_uniform)
        log_warn("no usable token weights in %llu row%s: every token counts with 1",
                 (unsigned long long)a->weights_uniform, plural_s(a->weights_uniform));
    if (a->blocks_uniform)
        log_warn("in %llu block%s no row has a usable weight, and all count with 1",
                 (unsigned long long)a->blocks_uniform, plural_s(a->blocks_uniform));
    if (a->double_bos)
        log_warn("%llu row%s with BOS twice: say --bos no", (unsigned long long)a->double_bos,
                 a->double_bos == 1 ? " begins" : "s begin");
}

static int run(struct stage *stage, struct err *e)
{
    const struct sample_command *c = stage->own;
    struct sample *s;
    int rc;

    status_update("reading", -1, "", 0, 0, "");
    s = sample_open(&c->core, e);
    if (!s)
        return -1;
    audit_log(s, c);
    rc = sample_io_send(stage, s, e);
    sample_close(&s);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&sample_spec, run, argc, argv);
}
