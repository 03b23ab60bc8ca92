#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# data.bats - data as they come: lines that are odd, masks, tools stored as text, chats in the evaluation, pipes.
bats_require_minimum_version 1.5.0
load left.bash
load model.bash

setup_file() {
    narrow_model "$BATS_FILE_TMPDIR/model" 2
}

setup() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    tale=$BATS_FILE_TMPDIR/model
    cd "$BATS_TEST_TMPDIR"
    head -n 20 "$tale/calib.jsonl" >good.jsonl
}

sampled() { # FILE OPTION...: the line about rows, without the name of the run
    local file=$1
    shift
    ptq-sample --model "$tale" --data "$file" --tokens "${tokens:-1024}" --length "${length:-128}" --out o.ptq "$@" 2>&1 | sed 's/; run .*//'
}

odd() { # NAME LINE: the good lines behind this one
    { printf '%b\n' "$2" && cat good.jsonl; } >"$1.jsonl"
}

@test "lines that others write are read: BOM, NaN, huge numbers, keys twice, null columns, broken bytes" {
    odd bom '\xef\xbb\xbf{"text": "x"}'
    odd nan '{"text": "x", "score": NaN}'
    odd huge '{"text": "x", "score": 1e999}'
    odd dup '{"id": 1, "id": 2, "text": "x"}'
    odd nulls '{"text": "x", "messages": null, "input_ids": null}'
    odd plain '{"text": "x"}\r\n'
    want=$(sampled plain.jsonl)
    [[ $want == *"8 rows of 128"* ]]
    for name in bom nan huge dup nulls; do
        [ "$(sampled $name.jsonl)" = "$want" ]
    done
    { printf '{"text": "x"}\n\n\xef\xbb\xbf' && cat good.jsonl && printf ' \n'; } >joined.jsonl
    [ "$(sampled joined.jsonl)" = "$want" ]
    printf %s "$(cat plain.jsonl)" >end.jsonl
    [ "$(sampled end.jsonl)" = "$want" ]
    odd latin1 '{"text": "caf\xe9"}'
    odd words '{"text": "caf\xe9 na\xefve"}'
    odd half '{"text": "cut \\ud83d emoji"}'
    for name in latin1 half; do
        [[ $(sampled $name.jsonl) == *"1 document held bytes that are no UTF-8: 1 became U+FFFD, the first in $name.jsonl:"[0-9]* ]]
    done
    [[ $(sampled words.jsonl) == *"UTF-8: 2 became U+FFFD, the first in words.jsonl:"* ]]
}

@test "a bad line: refused with the way out, or skipped and counted" {
    for line in 'hello' '{"text": "cut' '{"text": 5}' '{"input_ids": [1]}' '{"foo": 1}' '["text"]'; do
        { head -n 1 good.jsonl && echo "$line" && tail -n +2 good.jsonl; } >bad.jsonl
        [[ $(sampled bad.jsonl) == *"fatal: bad.jsonl:2: "*"--bad-lines skip"* ]]
        run -0 sampled bad.jsonl --bad-lines skip
        [[ $output == *"8 rows of 128"*"1 line is no document and skipped, the first: bad.jsonl:2: "* ]]
    done
    grep -aq lines_skipped o.ptq # in the audit, which travels with the chunks
    : >none.jsonl
    for _ in 1 2 3; do echo hello; done >none.jsonl
    [[ $(sampled none.jsonl --bad-lines skip) == *"have 0"*"3 lines skipped, the first: none.jsonl:1: "* ]]
    run -0 ptq eval --model "$tale" --data bad.jsonl --window 128 --max-windows 8 --bad-lines skip
    [[ $output == *"1 line skipped"* ]]
}

@test "a chat that the template refuses: the end, or skipped and counted; it is no bad line" {
    printf '{%% for m in messages %%}{%% if m.role != "user" %%}{{ raise_exception("users only") }}{%% endif %%}{{ m.content }} {%% endfor %%}' >t.jinja
    jq -c '{messages: [{role: "user", content: .text}]}' good.jsonl >chats.jsonl
    echo '{"messages": [{"role": "system", "content": "x"}]}' | cat - chats.jsonl >odd.jsonl
    [[ $(sampled odd.jsonl --chat-template t.jinja) == *"fatal: odd.jsonl:1: "*"users only"*"--bad-chats skip"* ]]
    [[ $(sampled odd.jsonl --chat-template t.jinja --bad-lines skip) == *"fatal: odd.jsonl:1: "* ]]
    [[ $(sampled odd.jsonl --chat-template t.jinja --bad-chats skip) == *"8 rows of 128"*"1 chat is refused by the template and skipped, the first: odd.jsonl:1: "* ]]
    grep -aq chats_refused o.ptq
    run -100 ptq eval --quiet --model "$tale" --data odd.jsonl --chat-template t.jinja --window 128
    [[ $output == *"users only"*"--bad-chats skip"* ]]
    run -0 ptq eval --model "$tale" --data odd.jsonl --chat-template t.jinja --window 128 --max-windows 2 --bad-chats skip
    [[ $output == *"1 chat refused by the template"* ]]
}

@test "lists and packed files are the rows of the lines; so are they through a pipe" {
    jq -cs . good.jsonl >list.json
    jq -s . good.jsonl >pretty.json
    jq -cs 'map(.text)' good.jsonl >texts.json
    cp good.jsonl lines.json
    jq -c '{content: .text, text: "no", messages: 3}' good.jsonl >column.jsonl
    want=$(sampled good.jsonl)
    [[ $want == *"8 rows of 128"* ]]
    digest() { sampled "$@" >/dev/null && ptq-inspect o.ptq | grep '^  [a-z]'; }
    rows=$(digest good.jsonl)
    for name in list.json pretty.json texts.json lines.json; do
        [ "$(digest $name)" = "$rows" ]
    done
    [ "$(digest column.jsonl --text-column content)" = "$rows" ]
    gzip -k good.jsonl list.json
    zstd -q good.jsonl
    sampled good.jsonl && cp o.ptq good.ptq
    for name in good.jsonl.gz good.jsonl.zst; do
        sampled $name && cmp o.ptq good.ptq # the same data, so the same run
    done
    [ "$(digest list.json.gz)" = "$rows" ]
    cat good.jsonl.gz >pipe
    sampled - <pipe && cmp o.ptq good.ptq
    head -c 200 good.jsonl.zst >cut.jsonl.zst
    [[ $(sampled cut.jsonl.zst) == *"fatal: cut.jsonl.zst: cut short"* ]]
    [[ $(sampled column.jsonl --text-column nothing) == *'column.jsonl:1: no text "nothing"'* ]]
}

@test "parquet files, through pipes and in folders, are the rows of the same lines" {
    digest() { sampled "$@" --bad-lines skip && ptq-inspect o.ptq | grep '^  [a-z]'; }
    tokens=64 length=16
    as_lines() { sed '/ files taken, from /d; s/[a-z0-9./]*\.\(jsonl\.gz\|jsonl\|parquet\)/FILE/g; s/such lines/such rows/' <<<"$1"; }
    cp "$ROOT"/tests/golden/parquet/{dictionary,delta_bytes,plain}.{parquet,jsonl} .
    for name in dictionary delta_bytes plain; do
        want=$(digest $name.jsonl)
        [[ $want == *"4 rows of 16"*"skipped, the first: $name.jsonl:"* ]]
        [ "$(as_lines "$(digest $name.parquet)")" = "$(as_lines "$want")" ]
    done
    sampled plain.parquet --bad-lines skip && cp o.ptq plain.ptq
    sampled - --bad-lines skip <plain.parquet && cmp o.ptq plain.ptq
    [ "$(digest plain.parquet --text-column url)" = "$(digest plain.jsonl --text-column url)" ]
    # shards in the order of their names
    mkdir shards lines
    cp plain.parquet shards/01.parquet
    cp dictionary.parquet shards/00.parquet
    cp plain.jsonl lines/01.jsonl
    gzip -c dictionary.jsonl >lines/00.jsonl.gz
    cat dictionary.jsonl plain.jsonl >all.jsonl
    tokens=512
    want=$(as_lines "$(digest all.jsonl)")
    [ "$(as_lines "$(digest shards)")" = "$want" ]
    [ "$(as_lines "$(digest lines/)")" = "$want" ]
    [[ $(sampled lines --bad-lines skip) == *"lines/: 2 .jsonl files taken, from 00.jsonl.gz to 01.jsonl"* ]]
    [[ $(sampled shards) == *"fatal: shards/00.parquet:"*": a line needs either"*"--bad-lines skip leaves such rows out"* ]]
    run -0 --separate-stderr ptq eval --model "$tale" --data plain.jsonl --bad-lines skip --window 32 --max-windows 2 --quiet --json
    want=$(jq -c .ppl <<<"$output")
    run -0 --separate-stderr ptq eval --model "$tale" --data plain.parquet --bad-lines skip --window 32 --max-windows 2 --quiet --json
    [ "$(jq -c .ppl <<<"$output")" = "$want" ]
    run -100 ptq run gptq --model "$tale" --data "$ROOT/tests/golden/parquet/brotli.parquet" --dry-run --out never
    [[ $output == *"packed with BROTLI, which is not read: write it with snappy, gzip, zstd or none"* ]]
    # what of a folder is not read is said
    echo '{}' >shards/info.json
    mkdir shards/more
    cp plain.jsonl shards/02.jsonl
    cp shards/02.jsonl shards/03.jsonl
    touch shards/README.md
    ptq run gptq --model "$tale" --data shards --bad-lines skip --tokens 64 --length 16 --group 64 --dry-run --out never
    [[ $(sampled shards --bad-lines skip) == *"of 'shards' only the .parquet files are read; left out: 1 folder, 2 .jsonl, 1 .json"* ]]
}

@test "text beside messages: both are named" {
    odd both '{"text": "x", "messages": [{"role": "user", "content": "x"}]}'
    [[ $(sampled both.jsonl) == *'fatal: both.jsonl:1: both "text" and "messages" are there'* ]]
}

chat() { # NAME TOOLS: four chats with these tools
    for _ in 1 2 3 4; do
        printf '{"messages": [{"role": "user", "content": "call it"}, {"role": "assistant", "content": "ok"}], "tools": %s}\n' "$2"
    done >"$1.jsonl"
}

template='{% if tools %}{% for t in tools %}{{ t.function.name }} {% endfor %}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}'

@test "tools as JSON text are those tools, one object is refused" {
    chat list '[{"function": {"name": "abc"}}]'
    chat text '"[{\"function\": {\"name\": \"abc\"}}]"'
    chat object '{"function": {"name": "abc"}}'
    echo "$template" >t.jinja
    tokens=0 length=2
    want=$(sampled list.jsonl --chat-template t.jinja)
    echo "$want"
    [[ $want == *"4 of the documents are chats"* ]]
    [ "$(sampled text.jsonl --chat-template t.jinja)" = "$want" ]
    run -100 ptq-sample --quiet --model "$tale" --chat-template t.jinja --data object.jsonl --tokens 0 --length 2 --out d.ptq
    [[ $output == *'object.jsonl:1: "tools" must be a list of objects'* ]]
    chat number 5
    chat strings '["abc"]'
    chat numeral '"5"'
    for name in number strings numeral; do
        run -100 ptq-sample --quiet --model "$tale" --chat-template t.jinja --data $name.jsonl --tokens 0 --length 2 --out d.ptq
        [[ $output == *"$name.jsonl:1: \"tools\" must be a list of objects"* ]]
    done
    chat false false
    chat null '[null]'
    chat twice '"\"[]\""'
    for name in false null twice; do
        run -100 ptq-sample --quiet --model "$tale" --chat-template t.jinja --data $name.jsonl --tokens 0 --length 2 --out d.ptq
        [[ $output == *"$name.jsonl:1: \"tools\" must be a list of objects"* ]]
    done
    chat none null
    want=$(sampled none.jsonl --chat-template t.jinja)
    for empty in '[]' '"[]"' '""' '" null"'; do
        chat empty "$empty"
        [ "$(sampled empty.jsonl --chat-template t.jinja)" = "$want" ]
    done
    sed 's/"tools": null/"documents": ["x"]/' none.jsonl >docs.jsonl
    [[ $(sampled docs.jsonl --chat-template t.jinja) == *'docs.jsonl:1: "documents" must be a list of objects'* ]]
    chat junk '"[] x"'
    run -100 ptq-sample --quiet --model "$tale" --chat-template t.jinja --data junk.jsonl --tokens 0 --length 2 --out d.ptq
    [[ $output == *'junk.jsonl:1: "tools" is a text, and not one of JSON'* ]]
    chat cut '"[{"'
    run -100 ptq-sample --quiet --model "$tale" --chat-template t.jinja --data cut.jsonl --tokens 0 --length 2 --out d.ptq
    [[ $output == *'cut.jsonl:1: "tools" is a text, and not one of JSON'* ]]
}

@test "padding that attention_mask rules out is no part of the rows, on either side" {
    awk 'BEGIN { for (r = 0; r < 16; r++) { ids = ""; on = ""; pad = ""; off = ""
        for (i = 0; i < 64; i++) { ids = ids "," (r * 64 + i); on = on ",1" }
        for (i = 0; i < 32; i++) { pad = pad ",2045"; off = off ",0" }
        print "{\"input_ids\": [" substr(ids, 2) "]}" >"real.jsonl"
        print "{\"input_ids\": [" substr(pad ids, 2) "], \"attention_mask\": [" substr(off on, 2) "]}" >"left.jsonl"
        print "{\"input_ids\": [" substr(ids pad, 2) "], \"attention_mask\": [" substr(on off, 2) "]}" >"right.jsonl" } }'
    for side in real left right; do
        ptq eval --quiet --model "$tale" --data $side.jsonl >$side.txt
    done
    grep -q '16 windows, 1024 tokens' real.txt
    cmp real.txt left.txt
    cmp real.txt right.txt
    # written as truth values, as floats, as a batch of one; with a hole
    jq -c '.attention_mask |= map(. == 1)' left.jsonl >truth.jsonl
    sed 's/\([01]\),/\1.0,/g' <(jq -c '.attention_mask' left.jsonl) | paste -d' ' - <(jq -c '.input_ids' left.jsonl) |
        sed 's/^\(.*\]\) \(.*\)$/{"attention_mask": \1, "input_ids": \2}/' >floats.jsonl
    sed 's/\[/[[/g; s/\]/]]/g' left.jsonl >batch.jsonl
    jq -c '.input_ids = .input_ids[:20] + [-100, -100] + .input_ids[20:] | .attention_mask = [range(.input_ids | length) | if . == 20 or . == 21 then 0 else 1 end]' real.jsonl >hole.jsonl
    grep -q false truth.jsonl
    grep -q '0\.0' floats.jsonl
    for name in truth floats batch hole; do
        ptq eval --quiet --model "$tale" --data $name.jsonl >$name.txt
        cmp real.txt $name.txt
    done
    jq -c '.attention_mask = [.attention_mask, .attention_mask]' left.jsonl >two.jsonl
    run -100 ptq eval --quiet --model "$tale" --data two.jsonl
    [[ $output == *"two.jsonl:1: attention_mask has 2 numbers, input_ids 96"* ]]
    sed 's/1\]/1, 1]/' left.jsonl >long.jsonl
    run -100 ptq eval --quiet --model "$tale" --data long.jsonl
    [[ $output == *"long.jsonl:1: attention_mask has 97 numbers, input_ids 96"* ]]
    echo '{"input_ids": [1, 2, 3], "attention_mask": [0, 0, 0]}' >zero.jsonl
    run -100 ptq eval --quiet --model "$tale" --data zero.jsonl
    [[ $output == *"zero.jsonl:1: attention_mask rules out every token"* ]]
    echo '{"input_ids": [1, 2, 3], "attention_mask": [1, 2, 1]}' >two.jsonl
    run -100 ptq eval --quiet --model "$tale" --data two.jsonl
    [[ $output == *"two.jsonl:1: attention_mask[1] is neither 0 nor 1"* ]]
}

@test "eval renders chats as the sampler does" {
    for i in 1 2 3 4 5 6 7 8; do
        jq -c '{messages: [{role: "user", content: .text}]}' good.jsonl
    done >chats.jsonl
    for i in 1 2 3 4 5 6 7 8; do cat good.jsonl; done >texts.jsonl
    printf '{%% for m in messages %%}{{ m.content }}{%% endfor %%}' >plain.jinja
    mkdir m
    cp "$tale"/{config.json,model.safetensors,tokenizer.json} m/
    cp plain.jinja m/chat_template.jinja
    ptq eval --quiet --model m --data chats.jsonl --window 256 --max-windows 2 >chats.txt
    ptq eval --quiet --model m --data texts.jsonl --window 256 --max-windows 2 >texts.txt
    grep -q '2 windows, 512 tokens' chats.txt
    cmp chats.txt texts.txt
    rm m/chat_template.jinja
    run -100 ptq eval --quiet --model m --data chats.jsonl --window 256
    [[ $output == *"chat_template"* ]]
}

@test "data through a pipe and from standard input are read once, in order" {
    want=$(sampled good.jsonl)
    [ "$(sampled - <good.jsonl)" = "$want" ]
    [ "$(cat good.jsonl | sampled -)" = "$want" ]
    [ "$(sampled <(cat good.jsonl))" = "$want" ]
    [ "$(sampled <(cat good.jsonl) --mode crops 2>&1 | head -n 1)" = "$(sampled good.jsonl --mode crops 2>&1 | head -n 1)" ]
    ptq eval --quiet --model "$tale" --data good.jsonl --window 256 --max-windows 2 >a.txt
    ptq eval --quiet --model "$tale" --data <(cat good.jsonl) --window 256 --max-windows 2 >b.txt
    cmp a.txt b.txt
    ptq run gptq --quiet --model "$tale" --data good.jsonl --out a --tokens 1024 --length 128 --workers forward=1
    ptq run gptq --quiet --model "$tale" --data <(cat good.jsonl) --out b --tokens 1024 --length 128 --workers forward=1
    cmp a/model.safetensors b/model.safetensors
    cat good.jsonl | ptq run gptq --quiet --model "$tale" --data - --out c --tokens 1024 --length 128 --workers forward=1
    cmp a/model.safetensors c/model.safetensors
    # what has no end: a device is refused, a stream ends by the signal
    run -100 timeout 20 ptq sample --model "$tale" --tokens 64 --length 32 --quiet --data /dev/zero
    [[ $output == "sample: fatal: /dev/zero is a device, not data" ]]
    mkfifo endless
    ptq sample --model "$tale" --tokens 64 --length 32 --data - <endless 2>said 3>&- &
    exec 5>endless
    yes '{"text": "a"}' | head -c 1M >&5 # more than a pipe holds: it reads
    kill -TERM $!
    code=0
    wait $! || code=$?
    exec 5>&-
    [ $code = 111 ]
    grep -q "stopped by a signal while 'standard input' was read" said
}

@test "chats of other collections are the messages that they stand for" {
    template='{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}'
    printf %s "$template" >t.jinja
    jq -c '{messages: [{role: "user", content: (.text[:40] + "\n\n" + .text[40:60])}, {role: "assistant", content: .text}]}' good.jsonl >messages.jsonl
    jq -c '{instruction: .text[:40], input: .text[40:60], output: .text}' good.jsonl >alpaca.jsonl
    jq -c '{conversations: [{from: "human", value: (.text[:40] + "\n\n" + .text[40:60])}, {from: "gpt", value: .text}]}' good.jsonl >sharegpt.jsonl
    jq -c '{prompt: .messages[:1], completion: .messages[1:]}' messages.jsonl >prompt.jsonl
    sampled messages.jsonl --chat-template t.jinja
    rows=$(ptq-inspect o.ptq | grep '^  [a-z]')
    [[ $rows == *"role  U8"*"max 2"* ]]
    for name in alpaca sharegpt prompt; do
        sampled $name.jsonl --chat-template t.jinja
        [ "$(ptq-inspect o.ptq | grep '^  [a-z]')" = "$rows" ]
    done
}
