/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-families - the architectures that are known, from their descriptors. */
#include <stdio.h>
#include <stdlib.h>
#include "../../../common/base/json.h"
#include "../../../common/model/config_read.h"
#include "../../../common/model/family.h"
#include "families_opts.h"

static int print_json(const struct family *f, struct err *e)
{
    struct json *j = json_new_object();
    char *text = NULL;

    if (json_set_text(j, "model_type", f->model_type) == 0 &&
        json_set_text(j, "architecture", f->architecture) == 0 &&
        json_set_text(j, "about", f->about) == 0)
        text = json_print(j, 0, e);
    else
        err_set(e, ERR_SYS, "out of memory");
    json_destroy(&j);
    if (!text)
        return -1;
    puts(text);
    free(text);
    return 0;
}

static void print_text(void)
{
    const struct family *f;

    printf("%-15s %-38s %s\n", "model_type", "architecture", "models");
    for (size_t i = 0; (f = family_at(i)); i++)
        printf("%-15s %-38s %s\n", f->model_type, f->architecture, f->about);
    fputs("\nrope: ", stdout);
    for (size_t i = 0; config_rope_name(i); i++)
        printf("%s%s", i ? ", " : "", config_rope_name(i));
    putchar('\n');
}

static int run(struct stage *s, struct err *e)
{
    const struct families_command *c = s->own;
    const struct family *f;

    if (!c->json) {
        print_text();
        return 0;
    }
    for (size_t i = 0; (f = family_at(i)); i++)
        if (print_json(f, e) < 0)
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(&families_spec, run, argc, argv);
}
