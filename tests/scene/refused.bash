# SPDX-License-Identifier: Apache-2.0
# refused - a small model and rows of tokens, the run that takes them, and what must hold when it cannot be.
. "${BASH_SOURCE[0]%/*}/idle.bash"
. "${BASH_SOURCE[0]%/*}/left.bash"

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    rows 40 64 320 >"$BATS_FILE_TMPDIR/good.jsonl"
    rows 1024 64 320 >"$BATS_FILE_TMPDIR/long.jsonl"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    mkdir m r t
    export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/r TMPDIR=$BATS_TEST_TMPDIR/t
    cp "$ROOT"/tests/golden/conformance/llama3/{config.json,model.safetensors} m/
    cp "$BATS_FILE_TMPDIR/good.jsonl" d.jsonl
}

rows() { # ROWS LENGTH VOCABULARY: documents of token ids
    awk -v r="$1" -v n="$2" -v v="$3" 'BEGIN { srand(1); for (i = 0; i < r; i++) { printf "{\"input_ids\":["
        for (j = 0; j < n; j++) printf "%s%d", j ? "," : "", rand() * v; print "]}" } }'
}

header_length() {
    head -c 8 m/model.safetensors | od -An -t u8 | tr -d ' '
}

tensors() { # JQ: changes the header of the model's safetensors file
    local n h c i
    n=$(header_length)
    h=$(tail -c +9 m/model.safetensors | head -c "$n" | jq -c "$1")
    c=${#h}
    {
        for i in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %x $((c >> i & 255)))"; done
        printf %s "$h"
        tail -c +$((9 + n)) m/model.safetensors
    } >new
    mv new m/model.safetensors
}

poke() { # TENSOR BYTES: overwrites its element 7
    local n at
    n=$(header_length)
    at=$(tail -c +9 m/model.safetensors | head -c "$n" | jq ".[\"$1\"].data_offsets[0]")
    printf "$2" | dd of=m/model.safetensors bs=1 seek=$((8 + n + at + 14)) conv=notrunc status=none
}

json() { # FILE JQ
    jq "$2" "$1" >new
    mv new "$1"
}

job() { # OPTION VALUE...: the main job on the small model, with other options than these
    local all=(--model m --data d.jsonl --out out --tokens 2048 --length 64 --group 32 --workers forward=2) use=() i
    for ((i = 0; i < ${#all[@]}; i += 2)); do
        [[ " $* " == *" ${all[i]} "* ]] || use+=("${all[i]}" "${all[i + 1]}")
    done
    exec timeout 30 ptq run "$ROOT/pipelines/gptq.pipe" "${use[@]}" "$@"
}

nothing_left() { # neither processes, sockets and spilled states, nor half a model
    [ -z "$(ls r)" ]
    [ -z "$(ls t)" ]
    [ ! -d out ] || [ -z "$(ls -A out | grep -vx .ptqflow)" ]
    [ -z "$(grep -laF -f <(echo "$XDG_RUNTIME_DIR/ptq-") /proc/[0-9]*/cmdline 2>/dev/null)" ]
}

one_cause() { # TEXT...: stderr ends with its one fatal line, which holds every TEXT
    local last text
    echo "$stderr"
    last=$(tail -n 1 <<<"$stderr")
    [ "$(grep -c 'fatal' <<<"$stderr")" = 1 ]
    [[ $stderr != *warning* ]]
    [[ $last == "ptq: fatal: "* ]]
    for text; do [[ $last == *"$text"* ]]; done
}

refused() { # CODE TEXT... -- OPTION VALUE...
    local -
    set +T # bats notes where each command stands: not of those below, which takes longer than what they look at
    refusal "$@"
}

refusal() {
    local code=$1 text=() from idle
    shift
    idle && from=$idle
    while (($#)) && [ "$1" != -- ]; do
        text+=("$1")
        shift
    done
    (($# == 0)) || shift
    run --separate-stderr job "$@"
    one_cause "${text[@]}"
    [ "$status" = "$code" ]
    idle
    [ $((idle - from)) -le 5000 ]
    nothing_left
}

# The model
