#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bad_input.bats - what a user sees of a run that cannot be, for its data, its options, its disk or its processes: one fatal line that names the
# cause, an exit code, and nothing left behind.
bats_require_minimum_version 1.5.0
load refused.bash

@test "--record is none of the data, of the model, of the other outputs, and no folder" {
    cp d.jsonl keep
    refused 100 "--data and --record are the same file 'd.jsonl'" -- --record ./d.jsonl
    cmp d.jsonl keep
    refused 100 "--record: 'm' is a folder" -- --record m
    cp m/model.safetensors keep
    ln -s m/model.safetensors same
    refused 100 "--record: 'same' is a file of --model 'm'" -- --record same
    cmp m/model.safetensors keep
    refused 100 "--record and --out are the same file 'out'" -- --record out
    refused 100 "--out and --log are the same file 'out'" -- --log ./out/
    refused 100 "--record 'out/p': no folder 'out'" -- --record out/p
    [ ! -e out ]
    [ -z "$(ls -d ./*.tmp.* 2>/dev/null)" ]
}

tale() { # the bundled model, which has a tokenizer
    rm -r m
    mkdir m
    cp "$ROOT"/pipelines/demo/tale-qwen3/{config.json,model.safetensors,tokenizer.json,tokenizer_config.json} m/
    head -n 40 "$ROOT/pipelines/demo/tale-qwen3/calib.jsonl" >d.jsonl
}

@test "an unknown part of a tokenizer" {
    tale
    cp m/tokenizer.json keep
    jq '.pre_tokenizer = {type: "Bert"}' keep >m/tokenizer.json
    refused 100 "m/tokenizer.json: pre-tokenizer 'Bert' is not known"
    jq '.model.type = "WordPiece"' keep >m/tokenizer.json
    refused 100 "m/tokenizer.json: model 'WordPiece' is not known"
    echo '{' >m/tokenizer.json
    refused 100 "'m/tokenizer.json': not valid JSON"
    rm m/tokenizer.json
    refused 100 "d.jsonl:1: text, but 'm' has no tokenizer.json"
}

@test "a tokenizer of another model" {
    tale
    json m/tokenizer.json '.model.vocab["another"] = 100000'
    refused 100 "m: the tokenizer has token ids up to 100000" "vocab_size 2048" "do not belong together"
}

@test "token ids beyond the vocabulary" {
    sed -i '5s/\[/[320,/' d.jsonl
    refused 100 "d.jsonl:5: token id 320 is not below the model's vocab_size 320"
}

@test "a line that is no document" {
    local line
    for line in hello '{"input_ids":[1' '{"foo":1}' '{"text":5}' '{"input_ids":"a"}' '{"input_ids":[1,-2]}' '{"input_ids":[1,2.5]}' '[]'; do
        sed "4s/.*/$line/" "$BATS_FILE_TMPDIR/good.jsonl" >d.jsonl
        refused 100 "d.jsonl:4"
    done
}

@test "no data, blank data, too little data" {
    : >d.jsonl
    refused 1 "'d.jsonl' is empty"
    printf '\n\n' >d.jsonl
    refused 1 "data too short: need 2048 tokens, have 0"
    rows 3 64 320 >d.jsonl
    refused 1 "d.jsonl: data too short: need 2048 tokens, have 192" "more --data, or fewer --tokens"
    refused 100 "--data" "/no/such.jsonl" -- --data /no/such.jsonl
    refused 100 "'t' is a folder without a .parquet or .jsonl file" -- --data t
}

@test "sequences longer than the context" {
    refused 100 "--length 1024 is more than max_position_embeddings 512 of 'm'" -- --length 1024
}

# Options

@test "a group that does not divide the inputs" {
    refused 100 "--group: 48 does not divide the 64 inputs of 'model.layers.0.self_attn.q_proj'" -- --group 48
    refused 100 "stage 'solve': --group must be -1 or at least 1" -- --group 0
}

@test "options out of range, before anything starts" {
    refused 100 "--length: 1 is out of range, must be 2 to" -- --length 1
    refused 100 "--tokens: 'many' is not a whole number" -- --tokens many
    refused 100 "--mem: '1x' is not a size" -- --mem 1x # forward and reduce take it
    refused 100 "--mem: 1 would be so many bytes: say 1G" -- --mem 1
    refused 100 "--mem: 2000000T is more bytes than there can be" -- --mem 2000000T
    refused 100 "--shard-size 0: a weight file of no bytes" -- --shard-size 0
    refused 100 "--damp: -1 is out of range, must be 0 to" -- --damp -1
    refused 100 "stage 'solve'" "there is no solver 'best'" -- --solver best
    refused 100 "stage 'write'" "format 'best' is not known" -- --format best
    refused 100 "--bits: '5' is not one of 2|3|4|8" -- --bits 5
    refused 100 "--workers" "1024" -- --workers forward=0
    refused 100 "--only has an empty value" -- --only "" # no site would ever fit
    refused 100 "--only 'nosuch*' of ptq-solve hits no site of this model; sites are like 'attn.qkv' or 'b0.attn.qkv'" -- --solve.only 'nosuch*'
    refused 100 "no ptq-solve takes site b0.mlp.up: widen --only" -- --only 'attn.*'
}

@test "what an option names and cannot be, before anything starts" {
    refused 100 "--note: cannot read '/no/such': No such file" -- --note /no/such
    refused 100 "--weight-file: cannot read '/no/such'" -- --weight-file /no/such
    refused 100 "--chat-template: 'm' is a folder, not a file" -- --chat-template m
    refused 100 "--tmp: no folder '/no/such'" -- --tmp /no/such
    refused 100 "--tmp: 'd.jsonl' is not a folder" -- --tmp d.jsonl
    refused 100 "--date: '2026-02-31' is no date" -- --date 2026-02-31
    refused 100 "--out '-x' would be taken for an option: say --out ./-x" -- --out -x
    refused 100 "--equalise needs the sums by position" "add --classes position" -- --equalise first
    refused 100 "--mix needs the sums by modality" "add --classes length,modality" -- --mix text=1 --classes length
    refused 100 "--listen 'foo': say tcp://ADDRESS:PORT" -- --listen foo --dry-run
    refused 100 "--metrics: 'foo': say ADDRESS:PORT" -- --metrics foo --dry-run
    refused 100 "--metrics: '0.0.0.0:0' is more than loopback" -- --metrics 0.0.0.0:0 --dry-run
    refused 100 "--log '/proc/foo': nothing can be made in '/proc'" -- --log /proc/foo --dry-run
    refused 100 "--experts all: the model has no experts: leave it out" -- --experts all
    refused 100 "--starved all-tokens: the model has no experts" -- --starved all-tokens
    refused 100 "--starved-below: the model has no experts" -- --starved-below 8
    refused 100 "--weight-min means nothing without --token-weights attention: leave it out" -- --weight-min 0.1
    for more in "--damp 0.1" "--rank 0 --lr 1e-3" "--clip no --clip-lr 0.1" "--alpha-lr 0.1"; do
        run -100 ptq run slide --model m --data d.jsonl --out out --tokens 2048 --length 64 $more --dry-run
        [[ $output == *"means nothing without --round gptq: leave it out" || $output == *"means nothing without a --rank above 0"* ||
            $output == *"--clip-lr means nothing without --clip yes"* || $output == *"--alpha-lr means nothing without --alpha yes"* ]]
    done
    run -100 ptq-convert --model m --format dense --shard-size 0 other
    run -100 ptq-reduce --tmp /no/such --in d.jsonl
    [[ $output == "reduce: fatal: --tmp: no folder '/no/such'" ]]
}

@test "an option that there is not, or that is missing" {
    refused 100 "unknown option '--colour'" "gptq.pipe --help" -- --colour blue
    refused 100 "--set foo=3: unknown option '--foo' (see" -- --set foo=3
    run --separate-stderr ptq run gptq --data d.jsonl --out out
    [ "$status" = 100 ]
    one_cause "stage 'sample': --model DIR is missing"
    nothing_left
}

@test "after a refusal the same command, put right, runs" {
    refused 100 "--damp: -1 is out of range" -- --damp -1
    [ -d out/.ptqflow ] || [ ! -e out ]
    (job --quiet)
    [ -e out/config.json ]
}

@test "overrides that skip every linear" {
    refused 100 "--override: '*: skip': every linear is skipped" "nothing for the gptq format" -- --override '*: skip'
    [ ! -e out ]
    refused 100 "nothing for the gptq format" -- --override '*: skip' --format dense,gptq
    printf '*.self_attn.*: skip\n*.mlp.*: skip # the rest\n' >lines
    refused 100 "lines:2: '*.mlp.*: skip': every linear is skipped" -- --overrides lines
    [ ! -e out ]
    (job --quiet --overrides lines --format dense)
    run -0 ptq diff out m
    rm -r out
    (job --quiet --overrides lines --override 'b0.mlp.down: skip=no')
    [ -e out/config.json ]
}

# The output folder

@test "an output folder that holds something else, or cannot be made" {
    mkdir other
    echo mine >other/file
    refused 100 "--out: 'other' holds something else" -- --out other
    [ "$(ls -A other)" = file ]
    refused 100 "--out: 'other/file' is there and not a folder" -- --out other/file
    refused 100 "other/file" -- --out other/file/below
    (job --quiet)
    cp -r out done
    run --separate-stderr job
    [ "$status" = 100 ]
    one_cause "--out: 'out' holds an earlier output of ptqflow: remove it"
    diff -r out done
}

@test "an output folder that may not be written" {
    refused 100 "--out '/proc/ptq-out/x': nothing can be made in '/proc'" -- --out /proc/ptq-out/x
    [[ $stderr != *"while it runs"* ]] # nothing was started
    refused 100 "--out 'd.jsonl/x': 'd.jsonl' is not a folder" -- --out d.jsonl/x
    (umask 0 && mkdir -p new) && (job --out new/a/b --dry-run >/dev/null) && [ -z "$(ls -A new)" ]
    [ "$(id -u)" = 0 ] || skip "only root can be somebody else"
    mkdir shut
    setpriv --reuid 65534 --clear-groups test -r . || skip "nobody may not look in here"
    run -100 setpriv --reuid 65534 --clear-groups env ptq run gptq --model m --data d.jsonl --out shut --tokens 2048 --length 64 --group 32 --dry-run
    [[ $output == *"--out 'shut': nothing can be made in 'shut': Permission denied"* ]]
}

@test "a record that cannot be written ends the run at once, and is named" {
    run --separate-stderr job --record /dev/full
    [ "$status" = 111 ]
    echo "$stderr"
    [[ $stderr == *"fatal: "*"--record /dev/full: cannot write"*"No space left on device"* ]]
    [[ $stderr != *"begin again"* && $stderr != *"its place"* ]]
}

small() { # SIZE DIR: a file system of its own
    [ "$(id -u)" = 0 ] || skip "only root can mount a small file system"
    mkdir -p "$2"
    mount -t tmpfs -o "size=$1" none "$2" || skip "no mount here"
    mounted=$PWD/$2
}

teardown() {
    end_left
    [ -z "${mounted:-}" ] || umount -l "$mounted"
}

@test "a disk that is full in the middle" {
    small 64k out
    refused 111 "stage 'write'" "No space left on device" "out/.ptqflow/parts" -- --overwrite
    jq -e . out/.ptqflow/journal.jsonl >/dev/null
}

@test "a disk that is full when the checkpoint is written" {
    small 400k out
    refused 111 "stage 'write'" "No space left on device" "out/.ptqflow/assemble" -- --format dense --overwrite
    [ "$(jq -s 'map(select(.record == "site")) | length' out/.ptqflow/journal.jsonl)" = 16 ]
}

@test "a disk that is too small is found before the start" {
    refused 111 "--out: 'below/out' needs at least" "977 TiB more are to stay free (--reserve)" "are free" -- --reserve 1000000G --out below/out
    [ ! -e below ]
    small 64k out
    refused 111 "--out: 'out' needs at least" "only 64 KiB are free"
    [ -z "$(ls -A out)" ]
    umount out
    mount -t tmpfs -o size=400k none out # the checkpoint fits, and not what lies beside it
    refused 111 "--out: 'out' needs at least" "the rest for what it is put together from)" -- --format dense
    refused 111 "--out: 'out' needs at least" "and for --save-state)" -- --save-state
    [ -z "$(ls -A out)" ]
}

@test "more memory than the machine has is said" {
    run -0 job --dry-run --out out --forward.mem 900T
    [[ $output == *"warning: --mem of stage 'forward' is 900 TiB, and this machine has "[0-9]*"iB: it bounds nothing"* ]]
    run -0 job --dry-run --out out --mem 8M
    [[ $output != *warning* ]]
}

@test "no room for hidden states" {
    small 16k spill
    TMPDIR=$PWD/spill refused 111 "--tmp: '$PWD/spill' needs" "MiB of hidden states" "only 16 KiB are free" "more --mem" -- --mem 4K
    refused 111 "--tmp: 'spill' needs" -- --mem 4K --tmp spill
    [ ! -e out ]
    ptq sample --model m --data d.jsonl --tokens 2048 --length 64 --quiet >chunks.ptq
    TMPDIR=$PWD/spill run -111 ptq forward --model m --inputs full --mem 4K --quiet <chunks.ptq
    [[ $output == *"folder '$PWD/spill'"*"TMPDIR"*"No space left on device"* ]]
    [ -z "$(ls -A spill)" ]
}

@test "no room for sums" {
    small 16k spill
    ptq sample --model m --data "$BATS_FILE_TMPDIR/long.jsonl" --tokens 16384 --length 64 --quiet |
        ptq forward --model m --inputs full --quiet >acts.ptq
    run -111 ptq reduce --mem 0 --tmp spill --quiet <acts.ptq
    [[ $output == *"fatal: "*"folder 'spill' (--tmp or TMPDIR names another)"*"No space left on device"* ]]
    [ -z "$(ls -A spill)" ]
}

# Ends by force

start() { # OPTION VALUE...: a run in the background, as $run, its stderr at descriptor 7
    mkfifo said
    (job --chunk-tokens 256 --solve.fault delay:150 "$@") 2>said 3>&- & # each solution takes a while
    run=$!
    exec 7<said
}

until_said() { # TEXT: reads on to it
    stderr=
    while read -r line <&7; do
        stderr+=$line$'\n'
        [[ $line != *"$1"* ]] || return 0
    done
    echo "$stderr"
    return 1
}

process() { # NAME: the first process of the run with that name; waits for one
    until pgrep -of "^$1 .*$XDG_RUNTIME_DIR/ptq-"; do
        [ -e "/proc/$run" ] || return 1
        nap 0.02
    done
}

ended() { # CODE TEXT...
    local code=$1 status=0 from idle
    shift
    idle && from=$idle
    stderr+=$(cat <&7)
    wait "$run" || status=$?
    one_cause "$@"
    [ "$status" = "$code" ]
    idle
    [ $((idle - from)) -le 8000 ]
    nothing_left
}

@test "kill -9 of the sampler" {
    mkfifo d.txt
    exec 8<>d.txt # it waits for more
    start --data d.txt --restarts 0
    kill -9 "$(process ptq-sample)"
    ended 111 "stage 'sample' was ended by signal 9"
    exec 8>&-
}

killed() { # STAGE
    local stage
    start --restarts 0
    stage=$(process "ptq-$1")
    until_said "block 2/4"
    kill -9 "$stage"
    ended 111 "stage '$1" "was ended by signal 9"
}

@test "kill -9 of a forward worker" {
    killed forward
}

@test "kill -9 of the reducer" {
    killed reduce
}

@test "kill -9 of the solver: another takes its place" {
    local stage
    start
    stage=$(process ptq-solve)
    until_said "block 2/4"
    kill -9 "$stage"
    stderr+=$(cat <&7)
    wait "$run"
    [ -f out/config.json ]
    [[ $stderr == *"solve is gone: signal 9 (Killed); another is started in its place"* ]]
}

@test "kill -9 of the writer" {
    killed write
}

@test "SIGINT: the run stops, the journal stays" {
    mkfifo said
    (exec env --default-signal=INT bash -c "$(declare -f job); job --chunk-tokens 256 --solve.fault delay:150") 2>said 3>&- &
    run=$!
    exec 7<said
    until_said "block 2/4"
    kill -INT "$run"
    ended 111 "stopped by a signal before the run was complete"
    [ "$(jq -s 'map(select(.record == "site")) | length' out/.ptqflow/journal.jsonl)" -ge 4 ]
}
