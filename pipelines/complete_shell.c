/* SPDX-License-Identifier: Apache-2.0 */
/* complete_shell - the functions for bash (4.4 and later) and zsh. They know no option: they ask
 * the ptq that lies beside the command of the line, or in PATH. */
#include "complete.h"

#include <string.h>

#include "../ops/tools/plan/plan_opts.h"
#include "specs.h"

/* Bash cuts words at = and :, ptq does not: what no blank parts is one word, and of the answer only
 * what stands behind the last cut replaces the word at the cursor. */
static const char bash[] =
    "# bash completion of ptq and its programs, printed by 'ptq completion bash'\n"
    "_ptq() {\n"
    "    local rest=$COMP_LINE gap word help last=${COMP_WORDS[COMP_CWORD]} ptq=ptq cut i\n"
    "    local -a words=()\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        gap=${rest%%[![:space:]]*}\n"
    "        rest=${rest#\"$gap\"}\n"
    "        rest=${rest#\"${COMP_WORDS[i]}\"}\n"
    "        if ((i == 0)) || [[ $gap ]]; then\n"
    "            words+=(\"${COMP_WORDS[i]}\")\n"
    "        else\n"
    "            words[-1]+=${COMP_WORDS[i]}\n"
    "        fi\n"
    "    done\n"
    "    [[ $last == [=:] ]] && last=\n"
    "    cut=${words[-1]%\"$last\"}\n"
    "    [[ ${words[0]} == */* ]] && ptq=${words[0]%/*}/ptq\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r word help; do\n"
    "        case $word in\n"
    "        :files | :folders)\n"
    "            [[ $word == :files ]] && i=-f || i=-d\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            while IFS= read -r word; do COMPREPLY+=(\"$word\"); done < <(compgen $i -- "
    "\"$last\")\n"
    "            ;;\n"
    "        *)\n"
    "            [[ $word == *[.=] ]] && compopt -o nospace 2>/dev/null\n"
    "            COMPREPLY+=(\"${word#\"$cut\"}\")\n"
    "            ;;\n"
    "        esac\n"
    "    done < <(\"${ptq/#\\~/$HOME}\" completion words \"${words[@]/#\\~\\//$HOME/}\" "
    "2>/dev/null)\n"
    "}\n";

static const char zsh[] =
    "_ptq() {\n"
    "    local ptq=ptq line word\n"
    "    local -a whole shown open files\n"
    "    [[ $words[1] == */* ]] && ptq=${~words[1]:h}/ptq\n"
    "    for line in \"${(@f)$($ptq completion words "
    "\"${(@)${(@Q)words[1,CURRENT-1]}/#\\~\\//$HOME/}\" "
    "\"${(Q)PREFIX}\" 2>/dev/null)}\"; do\n"
    "        word=${line%%$'\\t'*}\n"
    "        case $word in\n"
    "        '') ;;\n"
    "        :files) files=(_files) ;;\n"
    "        :folders) files=(_files -/) ;;\n"
    "        *[.=]) open+=(\"$word\") ;;\n"
    "        *) whole+=(\"$word\") shown+=(\"${${:-$word  ${line#*$'\\t'}}[1,COLUMNS-1]}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    (($#whole)) && compadd -l -d shown -- $whole\n"
    "    (($#open)) && compadd -S '' -- $open\n"
    "    (($#files)) && { compset -P '--*='; $files }\n"
    "    (($#whole + $#open + $#files))\n"
    "}\n";

static void programs(FILE *f)
{
    const struct stage_spec *s;

    fputs("ptq", f);
    for (size_t i = 0; (s = specs_at(i)); i++)
        fprintf(f, " ptq-%s", s->name);
    fprintf(f, " ptq-%s\n", plan_spec.name);
}

int complete_shell(FILE *f, const char *shell)
{
    if (strcmp(shell, "bash") == 0) {
        fprintf(f, "%scomplete -F _ptq ", bash);
        programs(f);
    } else if (strcmp(shell, "zsh") == 0) {
        fputs("#compdef ", f);
        programs(f);
        fprintf(f,
                "# zsh completion of ptq and its programs, printed by 'ptq completion zsh'\n%s"
                "if [[ $funcstack[1] == _ptq ]]; then _ptq \"$@\"; else compdef _ptq ",
                zsh);
        programs(f);
        fputs("fi\n", f);
    } else {
        return -1;
    }
    return 0;
}
