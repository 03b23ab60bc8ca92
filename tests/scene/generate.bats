#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# generate.bats - the command as a user meets it: refusals in one line, the same bytes from any number of threads, lines that ptq-sample reads back.
load model.bash
load left.bash

setup_file() {
    narrow_model "$BATS_FILE_TMPDIR/model" 2
}

setup() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    cd "$BATS_TEST_DIRNAME/../.."
    work=$BATS_TEST_TMPDIR
    model=tests/golden/conformance/llama3
    tale=$BATS_FILE_TMPDIR/model
}

fails() { # CODE WORD command...
    code=$1 word=$2
    shift 2
    run "$@"
    [ "$status" -eq "$code" ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == *"$word"* ]]
}

@test "wrong use and wrong input are refused in one line, and nothing is published" {
    fails 100 --model ptq-generate
    fails 100 /nowhere/config.json ptq-generate --model /nowhere
    fails 100 --ids ptq-generate --model "$model"
    printf 'text\n' > "$work/p.txt"
    fails 100 tokenizer.json ptq-generate --model "$model" --ids --prompts "$work/p.txt"
    printf '\n\n' > "$work/none.txt"
    fails 100 "no prompts" ptq-generate --model "$tale" --prompts "$work/none.txt"
    printf '{"input_ids":[]}\n' > "$work/empty.jsonl"
    fails 100 empty.jsonl:1 ptq-generate --model "$tale" --prompts "$work/empty.jsonl"
    printf '{"input_ids":[1,2,999]}\n' > "$work/far.jsonl"
    fails 100 999 ptq-generate --model "$model" --ids --prompts "$work/far.jsonl" --out "$work/out.jsonl"
    [ ! -e "$work/out.jsonl" ]
    fails 100 "is a folder" ptq-generate --model "$tale" --out "$work"
    fails 100 /nowhere ptq-generate --model "$tale" --out /nowhere/own.jsonl
}

@test "the same seed gives the same bytes from any number of threads, another seed others" {
    for n in 1 3; do
        ptq-generate --model "$tale" --count 6 --max-tokens 40 --batch 4 --top-p 0.9 --threads $n --out "$work/$n.jsonl" --quiet
    done
    cmp "$work/1.jsonl" "$work/3.jsonl"
    [ "$(wc -l < "$work/1.jsonl")" -eq 6 ]
    ptq-generate --model "$tale" --count 6 --max-tokens 40 --batch 4 --top-p 0.9 --quiet > "$work/stdout"
    cmp "$work/1.jsonl" "$work/stdout"
    ptq-generate --model "$tale" --count 6 --max-tokens 40 --batch 4 --top-p 0.9 --seed 2 --quiet > "$work/other"
    run cmp "$work/1.jsonl" "$work/other"
    [ "$status" -eq 1 ]
}

@test "SIGTERM: exit 1, what was done stands on stdout" {
    mkfifo "$work/lines"
    ptq-generate --model "$tale" --count 1000000 --max-tokens 4 --batch 1 --quiet > "$work/lines" 2> "$work/said" 3>&- &
    pid=$!
    exec 4< "$work/lines"
    read -r line <&4
    [[ "$line" == '{"text":"'* ]]
    kill -TERM "$pid"
    cat <&4 > /dev/null
    exec 4<&-
    code=0
    wait "$pid" || code=$?
    [ "$code" -eq 1 ]
    grep -q "told to stop" "$work/said"
}

@test "prompts stand in front of what is written and are used in turn" {
    printf 'Once upon a time\r\n\nThe dog' > "$work/p.txt"
    ptq-generate --model "$tale" --prompts "$work/p.txt" --count 3 --max-tokens 8 --quiet > "$work/out"
    [[ "$(sed -n 1p "$work/out")" == '{"text":"Once upon a time'* ]]
    [[ "$(sed -n 2p "$work/out")" == '{"text":"The dog'* ]]
    [[ "$(sed -n 3p "$work/out")" == '{"text":"Once upon a time'* ]]
    printf '{"input_ids":[5,6,7,8]}\n' > "$work/p.jsonl"
    run ptq-generate --model "$model" --ids --prompts "$work/p.jsonl" --prompt-tokens 2 --max-tokens 1 --quiet
    [[ "$output" =~ ^\{\"input_ids\":\[5,6,[0-9]+\]\}$ ]]
    # what a pipe brings is known by its contents, not by its name
    run ptq-generate --model "$model" --ids --prompts <(cat "$work/p.jsonl") --prompt-tokens 2 --max-tokens 1 --quiet
    [[ "$output" =~ ^\{\"input_ids\":\[5,6,[0-9]+\]\}$ ]]
    ptq-generate --model "$tale" --prompts - --max-tokens 8 --quiet <"$work/p.txt" | cmp - <(head -n 2 "$work/out")
    echo Once >"$work/p.md"
    fails 100 "data is a .txt, .jsonl" ptq-generate --model "$tale" --prompts "$work/p.md"
}

@test "a chat is rendered with the beginning of an answer, and the answer is written" {
    printf '{"messages": [{"role": "user", "content": "Tell me a story."}]}\n{"messages": [{"role": "user", "content": "Hi"}], "chat_template_kwargs": {"add_generation_prompt": false}}\n' >"$work/c.jsonl"
    printf '{%% for m in messages %%}[{{ m.role }}] {{ m.content }}{%% endfor %%}{%% if add_generation_prompt %%} [assistant]{%% endif %%}' >"$work/t.jinja"
    ptq-generate --model "$tale" --prompts "$work/c.jsonl" --chat-template "$work/t.jinja" --max-tokens 8 --quiet >"$work/out"
    [[ "$(sed -n 1p "$work/out")" == '{"text":"[user] Tell me a story. [assistant]'?* ]]
    [[ "$(sed -n 2p "$work/out")" == '{"text":"[user] Hi'* ]]
    run grep -c assistant "$work/out"
    [ "$output" = 1 ]
    ptq-generate --model "$tale" --prompts "$work/c.jsonl" --max-tokens 8 --quiet >"$work/own" # by the model's own template
    [[ "$(sed -n 1p "$work/own")" == *'<|im_start|>assistant'* ]]
    printf '{{ messages|shuffle }}' >"$work/t.jinja"
    fails 100 "shuffle" ptq-generate --model "$tale" --prompts "$work/c.jsonl" --chat-template "$work/t.jinja" --max-tokens 8
    fails 100 "c.jsonl:1: messages, but" ptq-generate --model "$model" --ids --prompts "$work/c.jsonl" --max-tokens 8
    printf '{"messages": [{"role": "user", "content": [{"type": "image", "path": "a.png"}]}]}\n' >"$work/c.jsonl"
    fails 100 "c.jsonl:1: a chat with images: they are not read here" ptq-generate --model "$tale" --prompts "$work/c.jsonl" --max-tokens 8
}

@test "ptq-sample reads back what was written" {
    ptq-generate --model "$tale" --count 4 --max-tokens 63 --ignore-eos --ids --out "$work/ids.jsonl" --quiet
    ptq-sample --model "$tale" --data "$work/ids.jsonl" --tokens 256 --length 64 --out "$work/chunks" --quiet
    ptq-generate --model "$tale" --count 4 --max-tokens 64 --ignore-eos --out "$work/text.jsonl" --quiet
    ptq-sample --model "$tale" --data "$work/text.jsonl" --tokens 128 --length 32 --out "$work/chunks2" --quiet
    [ -s "$work/chunks" ]
    [ -s "$work/chunks2" ]
}
