#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# completion.bats - what bash and zsh are told that a word may become, and the manuals, against what the help of the same command lists.
bats_require_minimum_version 1.5.0

setup() {
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PTQ_BIN=$(cd "${PTQ_BIN:-$ROOT/bin}" && pwd)
    export PTQ_BIN PATH="$PTQ_BIN:$PATH"
    cd "$BATS_TEST_TMPDIR"
}

words() { # WORD...: candidates alone, in order
    ptq completion words "$@" | cut -f1
}

options_of() { # HELP: the options that it lists
    sed -n 's/^  \(-h, \|-V, \)\?\(--[a-z][a-z0-9-]*\).*/\2/p' <<<"$1" | sort -u
}

@test "completion: of each program the options of its help" {
    bash=$(ptq completion bash) zsh=$(ptq completion zsh)
    for path in "$PTQ_BIN"/ptq-*; do
        name=${path##*/}
        if [ "$name" != ptq-plan ]; then # which has those of a recipe besides
            diff <(options_of "$("$name" --help)") <(words "$name" -- | sort)
            diff <(words "$name" --) <(words ptq "${name#ptq-}" --)
        fi
        words ptq "" | grep -qx "${name#ptq-}"
        grep -E "^complete .* $name( |$)" <<<"$bash"
        grep -E "^#compdef .* $name( |$)" <<<"$zsh"
    done
    diff <(options_of "$(ptq ctl --help)") <(words ptq ctl -- | sort)
}

@test "completion: of ptq run the options of the recipe, of its stages and of one stage" {
    printf '# two\nset level = 3 # how hard\nflag hard = # or harder\nsay: ptq-cat --in x --make 3\nall: ptq-solve --in a\nother: sh -c true\n' >two.pipe
    for recipe in gptq maca resolve two.pipe; do
        diff <(options_of "$(ptq run --help; ptq run "$recipe" --help)") <(words ptq run "$recipe" -- | grep -v '\.$' | sort)
    done
    diff <(words ptq run resolve --) <(words ptq resolve --)
    [ "$(words ptq run two.pipe -- | grep '\.$')" = $'--say.\n--all.' ] # of a foreign program there is nothing to say
    [ "$(words ptq run gptq --solve.bi)" = --solve.bits ]
    run -0 words ptq run two.pipe --all.
    [[ ${lines[0]} == --all.solver && $output != *$'--all.in\n'* ]]
    [ "$(words ptq run two.pipe --level 2 --hard --lev)" = "" ] # a second one would be refused
    [ "$(words ptq run gptq --data a --dat)" = $'--data\n--date' ] # which this one is not
    [ -z "$(words ptq run no-such-recipe --)" ]
    words ptq plan -- | grep -qx -e --cores -e --solver
    [ "$(words ptq plan gptq --cor)" = --cores ]
}

@test "completion: values: choices, names that follow each other, folders, files, nothing" {
    [ "$(words ptq-solve --grid sym)" = $'sym\nsym-narrow' ]
    [ "$(words ptq-solve --grid=as)" = --grid=asym ]
    [ "$(words ptq run gptq --solver best:gptq,rt)" = best:gptq,rtn ]
    [ "$(words ptq run gptq --solve.solver qep+rt)" = qep+rtn ]
    [ "$(words ptq run gptq --format gptq,den)" = gptq,dense ]
    [ "$(words ptq-rotate --kind o)" = orthogonal ]
    [ "$(words ptq run gptq --model m)" = :folders ]
    [ "$(words ptq run gptq --out '')" = :files ]
    [ "$(words ptq run gptq --data=)" = :files ]
    [ "$(words ptq-diff '')" = :files ]
    [ "$(words ptq-diff a b '' | head -1)" = --json ]
    [ -z "$(words ptq run gptq --tokens '')" ]
    [ -z "$(words ptq-solve --recorded=)" ]
    [ "$(words ptq-diff -- --)" = :files ]
    [ "$(words ptq run gpt)" = $'gptaq\ngptq\n:files' ]
    [ "$(words ptq ctl --out x sw)" = swap ]
    [ "$(words ptq help so)" = solve ]
    [ -z "$(words ptq; words ptq nothing ''; words ptq top '')" ]
    run -100 ptq completion fish
    run -100 ptq completion words
    run -0 ptq completion --help
}

ask() { # LINE: what bash would offer at its end; it cuts at = and : as readline does
    local -a cut
    read -ra cut <<<"$(sed 's/[=:]\+/ & /g' <<<"$1")"
    [[ $1 == *' ' ]] && cut+=('')
    COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=("${cut[@]}") COMP_CWORD=$((${#cut[@]} - 1))
    COMPREPLY=()
    _ptq
    printf '%s\n' "${COMPREPLY[@]}"
}

@test "completion: bash gets what replaces the word at the cursor" {
    ptq completion bash | bash -n
    eval "$(ptq completion bash)"
    mkdir models
    touch more
    [ "$(ask 'ptq sol')" = solve ]
    [ "$(ask 'ptq run gptq --solve.bi')" = --solve.bits ]
    [ "$(ask 'ptq run gptq --format=den')" = dense ]
    [ "$(ask 'ptq run gptq --grid=' | head -1)" = sym ]
    [ "$(ask 'ptq run gptq --solver best:gptq,rt')" = gptq,rtn ]
    [ "$(ask 'ptq run gptq --model mo')" = models ]
    [ "$(ask 'ptq run gptq --data mo' | sort)" = $'models\nmore' ]
    [ "$(ask 'ptq run gptq --data=mo' | sort)" = $'models\nmore' ]
    [ "$(ask "$PTQ_BIN/ptq-solve --grid asy")" = asym ]
    HOME=$PWD
    echo 'only: ptq-solve' >own.pipe
    [ "$(ask 'ptq run ~/own.pipe --bi')" = --bits ]
    complete -p ptq | grep -q _ptq
    complete -p ptq-solve | grep -q _ptq
    [ -z "$(ask '/none/ptq so' 2>&1)" ] # a ptq that is not there: nothing, and not a word
}

@test "completion: zsh gets words, what they are, and where files go" {
    command -v zsh >/dev/null || skip "zsh is not installed"
    ptq completion zsh >_ptq
    zsh -n _ptq
    cat >ask.zsh <<'EOF'
compdef() { [[ $* == *ptq-solve* ]] && print defined }
compadd() { print -r -- "$@" } # stand-ins for what only a shell at a terminal has
compset() { }
_files() { print files "$@" }
COLUMNS=40 HOME=$PWD
source ./_ptq
print 'only: ptq-solve' >own.pipe
for line in 'ptq run ~/own.pipe --only.bi' 'ptq run gptq --solve.bi' 'ptq run gptq --forw' 'ptq run gptq --model m' 'ptq run gptq --data=m' 'ptq-solve --grid=asy' 'ptq-solve --dam'; do
    words=(${=line}) CURRENT=$#words PREFIX=$words[-1]
    _ptq
done
EOF
    run -0 zsh -f ask.zsh
    [ "$output" = "defined
-l -d shown -- --only.bits
-l -d shown -- --solve.bits
-S  -- --forward.
files -/
files
-l -d shown -- --grid=asym
-l -d shown -- --damp" ]
}

@test "completion: make install puts it where shells look, make uninstall takes all away" {
    command -v make >/dev/null || skip "make is not installed"
    make -s -C "$ROOT" -o all install BIN="$PTQ_BIN" DESTDIR="$PWD/root" PREFIX=/usr
    cmp <(ptq completion bash) root/usr/share/bash-completion/completions/ptq
    cmp <(ptq completion bash) root/usr/share/bash-completion/completions/ptq-solve
    cmp <(ptq completion zsh) root/usr/share/zsh/site-functions/_ptq
    root/usr/bin/ptq completion words ptq run gpta | grep -q ^gptaq # by the recipes that are installed
    mkdir root/usr/pipelines # as a build leaves one, with objects in it
    root/usr/bin/ptq completion words ptq run gpta | grep -q ^gptaq
    cmp "$ROOT/ops/python/ptqwire.py" root/usr/share/ptqflow/python/ptqwire.py
    [ "$(ls root/usr/share/doc/ptqflow)" = $'CHANGELOG.md\nINTERFACES.md\nLICENSE\nREADME.md' ]
    make -s -C "$ROOT" uninstall BIN="$PTQ_BIN" DESTDIR="$PWD/root" PREFIX=/usr
    [ -z "$(find root ! -type d)" ]
}

@test "manuals: every option of a help stands in the page of its command, SEE ALSO names pages that are there" {
    cd "$ROOT"
    missing=
    for path in "$PTQ_BIN"/ptq-* ptq-ctl ptq-run; do
        name=${path##*/}
        page=$(sed 's/\\-/-/g' stages/*/"$name.1" ops/tools/*/"$name.1" pipelines/"$name.1" 2>/dev/null) || true
        [ "$name" != ptq-run ] || page+=$(sed 's/\\-/-/g' pipelines/ptq.1) # to which it refers
        for option in $(options_of "$(ptq "${name#ptq-}" --help)"); do
            grep -qE -- "$option([^a-z-]|\$)" <<<"$page" || missing+="$name $option "
        done
        grep -qF ".BR $name (1)" pipelines/ptq.1 || missing+="ptq.1:$name "
    done
    for name in $(cat stages/*/*.1 ops/tools/*/*.1 pipelines/*.1 | sed -n 's/^\.BR \(ptq[a-z-]*\) (1).*/\1/p' | sort -u); do
        [ -n "$(compgen -G "*/*/$name.1" || compgen -G "*/*/*/$name.1" || compgen -G "pipelines/$name.1")" ] || missing+="$name.1 "
    done
    [ -z "$missing" ] || { echo "$missing"; false; }
}
