/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-solve - turns problems into solutions: codes, scales and zeros of every linear. The core is
 * solve.c, its links are in solve_io.c. */
#include <stdio.h>

#include "../../common/base/fs.h"
#include "solve.h"
#include "solve_io.h"
#include "solve_opts.h"

static int list_solvers(struct err *e)
{
    const struct solver *s;

    for (size_t i = 0; (s = solver_at(i)); i++) {
        printf("%-8s %s\n         %soptions: bits,group,grid,fit", s->name, s->about,
               s->needs & SOLVER_NEEDS_D ? "needs D (ptq-forward --dual); " : "");
        if (s->takes)
            printf(",%s", s->takes);
        for (const struct opt *o = s->rows; o && o->name; o++)
            printf(",%s", o->name);
        putchar('\n');
    }
    printf("\nqep+NAME shifts the target before any solver that does not do so itself.\n"
           "best:A,B,... lets solvers compete and keeps the best for each site.\n");
    return fs_flush(stdout, e);
}

static int run(struct stage *s, struct err *e)
{
    return ((const struct solve_command *)s->own)->list ? list_solvers(e) : solve_io_run(s, e);
}

int main(int argc, char **argv)
{
    return stage_main(&solve_spec, run, argc, argv);
}
