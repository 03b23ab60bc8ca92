/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-slide - learns how the linears of windows of blocks are rounded, from chunks to solutions.
 * The core is slide.c, its links are in slide_io.c. */
#include "slide_io.h"
#include "slide_opts.h"

int main(int argc, char **argv)
{
    return stage_main(&slide_spec, slide_io_run, argc, argv);
}
