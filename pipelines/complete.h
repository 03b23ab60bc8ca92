/* SPDX-License-Identifier: Apache-2.0 */
/* complete - `ptq completion`: what the word at the cursor of a shell may become.
 *
 * `ptq completion bash` and `ptq completion zsh` print a function for the shell, which for each
 * word that is to be completed runs `ptq completion words WORD...`: the words of the line up to
 * the cursor, the first one the command. The answer comes from the rows that options are parsed by
 * and from the recipe that the line names, so it is never out of date. */
#ifndef PTQ_COMPLETE_H
#define PTQ_COMPLETE_H

#include <stddef.h>
#include <stdio.h>

/* argv[0] = "completion"; returns the exit code. */
int complete_main(int argc, char **argv);

/* One candidate a line: the whole word, a tab, what it is. ":files" or ":folders" alone on a line:
 * names of these as well, behind the word's '=' if it has one. A candidate that ends in '.' or '='
 * is not a whole word yet. Nothing for a line that cannot be made sense of. */
void complete_words(FILE *f, size_t n, const char *const *words);

/* complete_shell.c: the function for a shell. -1: not one that is known. */
int complete_shell(FILE *f, const char *shell);

#endif
