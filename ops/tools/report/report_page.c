/* SPDX-License-Identifier: Apache-2.0 */
/* report_page - the page from its sections. */
#include "report_page.h"

#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "sections.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

static int sections(struct page *p)
{
    section_state(p);
    section_summary(p);
    section_note(p);
    section_evals(p);
    if (!p->r->nsites)
        page_note(p, "missing", "No site is solved yet: there is nothing to draw.");
    else if (section_losses(p) || section_contest(p) || section_trouble(p) || section_samples(p) ||
             section_lengths(p) || section_classes(p) || section_windows(p) || section_spectra(p))
        return -1;
    section_experts(p);
    if (section_images(p))
        return -1;
    if (section_waits(p) || section_costs(p))
        return -1;
    if (p->r->nsites)
        section_sites(p);
    section_variables(p);
    return 0;
}

int report_page_write(FILE *f, const struct report *r, struct err *e)
{
    struct page p = {f, r, e};
    const char *model = base_name(json_text_or(r->start, "model", r->path));
    char *title = mem_printf(e, "%s: quantization report", model),
         *about = mem_printf(e, "Quantization of %s", model);
    int rc = -1;

    if (title && about) {
        page_open(&p, title, about, r->path);
        if (sections(&p) == 0)
            rc = page_close(&p);
    }
    free(title);
    free(about);
    return rc;
}
