#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# sample.bats - ptq-sample as a process: rows to a file, a pipe and sockets; input that is wrong.
bats_require_minimum_version 1.5.0
load left.bash

setup() {
    root=$BATS_TEST_DIRNAME/../..
    model=$root/pipelines/demo/tale-qwen3
    cd "$BATS_TEST_TMPDIR"
    export PATH="${PTQ_BIN:-$root/bin}:$PATH"
    head -n 40 "$model/calib.jsonl" >text.jsonl
    printf '{"input_ids": [%s]}\n' '1, 2, 3, 4' '5, 6, 7, 8' '9, 10, 11, 12' >ids.jsonl
    mkdir bare
    cp "$model/config.json" bare/
}

@test "file, pipe and a second run are the same bytes" {
    run -0 ptq-sample --model "$model" --data text.jsonl --tokens 8192 --length 512 --out a.ptq
    [[ $output == *"16 rows of 512 = 8192 tokens in 4 chunks, 4 lanes"* ]]
    [[ $output == *"documents: "*" read"* ]]
    ptq-sample --model "$model" --data text.jsonl --tokens 8192 --length 512 --quiet >b.ptq
    cmp a.ptq b.ptq
    mv text.jsonl elsewhere.jsonl
    ptq-sample --quiet --model "$model" --data elsewhere.jsonl --tokens 8192 --length 512 --out c.ptq
    cmp a.ptq c.ptq
}

@test "modes and seeds give other rows, the same seed the same" {
    for args in '--mode concat' '--mode head' '--mode crops' '--mode crops --seed 2'; do
        ptq-sample --quiet --model "$model" --data text.jsonl --tokens 2048 --length 128 $args --out "x${args// /}.ptq"
        ptq-sample --quiet --model "$model" --data text.jsonl --tokens 2048 --length 128 $args | cmp - "x${args// /}.ptq"
    done
    [ "$(cksum x*.ptq | cut -d' ' -f1 | sort -u | wc -l)" = 4 ]
}

@test "ids need no tokenizer; the remainder of the budget is said" {
    run -0 ptq-sample --model bare --data ids.jsonl --tokens 11 --length 4 --out ids.ptq
    [[ $output == *"2 rows of 4 = 8 tokens"* ]]
    [[ $output == *"3 tokens of the budget make no row"* ]]
    run -0 ptq-inspect ids.ptq
    [[ $output == *"chunk c0"*'"chunks":1'*'"stage":"sample"'*'"mode":"concat"'* ]]
    [[ $output == *"ids  I32 [8]  32 bytes  min 1 max 8 "* ]]
    [[ $output == *"lengths  I32 [2]  8 bytes  min 4 max 4 "* ]]
}

@test "two workers get all chunks between them, whatever their speed" {
    end=ipc://$BATS_TEST_TMPDIR/s
    timeout 60 ptq-sample --quiet --model "$model" --data text.jsonl --tokens 8192 --length 128 --out "@$end" --peers 2 &
    sampler=$!
    timeout 60 ptq-cat --quiet --in "$end" --out one.ptq &
    first=$!
    timeout 60 ptq-cat --quiet --in "$end" --out two.ptq
    wait $first
    wait $sampler
    ptq-sample --quiet --model "$model" --data text.jsonl --tokens 8192 --length 128 --out all.ptq
    ends=$(($(wc -c <one.ptq) + $(wc -c <two.ptq) - $(wc -c <all.ptq)))
    [ "$ends" -gt 0 ]
    [ "$ends" -lt 1000 ] # each chunk is in one of the two; one end mark more
    [ "$(wc -c <one.ptq)" -gt "$(($(wc -c <all.ptq) / 3))" ]
    [ "$(wc -c <two.ptq)" -gt "$(($(wc -c <all.ptq) / 3))" ]
}

refused() { # CODE WORDS ARGUMENTS...
    code=$1 words=$2
    shift 2
    run -"$code" ptq-sample --out out.ptq "$@"
    [[ ${lines[-1]} == "sample: fatal: "*"$words"* ]] || { echo "$output"; false; }
    [ ! -e out.ptq ]
}

@test "wrong use and wrong input: exit 100, one line, no file" {
    refused 100 'needed'
    refused 100 '--data' --model "$model"
    refused 100 'config.json' --model nowhere --data text.jsonl
    refused 100 'gone.jsonl' --model "$model" --data gone.jsonl
    refused 100 '.jsonl or .json file' --model "$model" --data "$model/model.safetensors"
    refused 100 'config.json:1: not valid JSON' --model "$model" --data "$model/config.json"
    refused 100 'max_position_embeddings 4096' --model "$model" --data text.jsonl --tokens 8192 --length 8192
    refused 100 '--tokens 100' --model "$model" --data text.jsonl --tokens 100 --length 512
    refused 100 'length' --model "$model" --data text.jsonl --length 0
    refused 100 'mode' --model "$model" --data text.jsonl --mode mixed
    refused 100 'BOS' --model "$model" --data text.jsonl --bos yes
    refused 100 'no tokenizer.json' --model bare --data text.jsonl
    echo '{"input_ids": [1, 2048]}' >>ids.jsonl
    refused 100 'ids.jsonl:4: token id 2048 is not below the model'"'"'s vocab_size 2048' --model bare --data ids.jsonl --tokens 14 --length 2
    printf '{"text": "a"}\n{"txt": "b"}\n' >odd.jsonl
    refused 100 'odd.jsonl:2' --model "$model" --data odd.jsonl
}

@test "a tokenizer that is not understood is refused by name" {
    cp "$model/tokenizer.json" "$model/tokenizer_config.json" bare/
    sed -i 's/"type": *"NFC"/"type":"BertNormalizer"/' bare/tokenizer.json
    refused 100 "normalizer 'BertNormalizer'" --model bare --data text.jsonl
    : >bare/tokenizer.json
    refused 100 'tokenizer.json' --model bare --data text.jsonl
}

@test "data that do not suffice: exit 1 with what is there" {
    refused 1 'need 65536 tokens, have ' --model "$model" --data text.jsonl --tokens 65536 --length 2048
    refused 1 'need 64 tokens, have 12' --model bare --data ids.jsonl --tokens 64 --length 4
    : >empty.txt
    refused 1 'have 0' --model "$model" --data empty.txt
}

@test "rows of several lengths fill the budget; lengths beyond the context are cut down to it" {
    run -0 ptq-sample --model "$model" --data "$model/calib.jsonl" --tokens 33280 --lengths 32,64,128,256 --weights length --out m.ptq
    [[ $output == *"278 rows (32: 70, 64: 69, 128: 70, 256: 69) = 33280 tokens"* ]]
    [[ $output == *"effective sample size: "* ]]
    run -0 ptq-inspect m.ptq
    [[ $output == *'"lengths":[32,64,128,256],"draw":"stratified","crops":"independent"'*'"weights":"length"'* ]]
    run -0 ptq-sample --model "$model" --data "$model/calib.jsonl" --tokens 4k --lengths 64,2000 --out l.ptq
    [[ $output == *"warning: no row has the length 2000 of --lengths: other lengths alone fill 4096 tokens; --tokens that are a multiple of 2064"* ]]
    run -0 ptq-sample --model "$model" --data "$model/calib.jsonl" --tokens 4608 --lengths 512,99999 --mode concat --out c.ptq
    [[ $output == *"warning: 1 of the lengths is beyond the model's context"* ]]
    run -1 ptq-sample --model "$model" --data "$model/calib.jsonl" --tokens 33280 --lengths 32,2048 --out n.ptq
    [[ $output == *"windows of 2048 tokens, have 0 in documents of that length"*"--short join"* ]]
    run -0 ptq-sample --model "$model" --data "$model/calib.jsonl" --tokens 33280 --lengths 32,2048 --short join --out n.ptq
    [[ $output == *"warning: 16 rows are cut from joined documents"* ]]
    run -100 ptq-sample --model "$model" --data text.jsonl --length 32 --lengths 32,64
    [[ $output == *"--length and --lengths"* ]]
    for bad in 1 32, 32,,64 x ''; do
        run -100 ptq-sample --model "$model" --data text.jsonl --lengths "$bad"
    done
}

@test "chats, shares and token weights" {
    printf '{"messages": [{"role": "user", "content": "Hello %d"}, {"role": "assistant", "content": "Hi."}]}\n' $(seq 100) >chats.jsonl
    printf '{%% for m in messages %%}\n<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{%% endfor %%}' >t.jinja
    run -0 ptq-sample --model "$model" --chat-template t.jinja --data chats.jsonl --share 1 --data text.jsonl --share 3 --tokens 1024 \
        --length 64 --out x.ptq
    [[ $output == *"16 rows of 64 = 1024 tokens"*"of the documents are chats"* ]]
    run -0 ptq-inspect x.ptq
    [[ $output == *'"shares":[[1.0,256],[3.0,768]]'*'"template":"'*'"tokens_answers":'* ]]
    [[ $output == *"role  U8 [1024]"* ]]
    printf '{{ messages|shuffle }}' >t.jinja
    run -100 ptq-sample --model "$model" --chat-template t.jinja --data chats.jsonl --out y.ptq
    [[ $output == *"chats.jsonl:1: t.jinja:1: the filter 'shuffle' is not supported"* ]]
    [ ! -e y.ptq ]
    run -100 ptq-sample --model "$model" --data chats.jsonl --data text.jsonl --share 1
    [[ $output == *"1 --share for 2 --data"* ]]
    printf '{"weights": [1, 3]}\n' >w.jsonl
    run -0 ptq-sample --model bare --data ids.jsonl --tokens 2 --length 2 --weight-file w.jsonl --out w.ptq
    run -0 ptq-inspect w.ptq
    [[ $output == *"weights  F32 [2]"*"min 0.5 max 1.5"* ]]
    run -100 ptq-sample --model bare --data ids.jsonl --tokens 4 --length 2 --weight-file w.jsonl
    [[ $output == *"1 rows, there are 2"* ]]
}
