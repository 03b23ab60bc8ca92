#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# import.bats - the import command on a real small file: what it makes, what it refuses, what it leaves behind when the disk is full.
bats_require_minimum_version 1.5.0

setup() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    gguf=$(realpath -m "${PTQ_SHARED:-$BATS_TEST_DIRNAME/../../../shared}/data/tinystories-656k-gguf/TinyStories-656K-Q8_0.gguf")
    cd "$BATS_TEST_TMPDIR"
}

need() {
    [ -r "$gguf" ] || skip "$gguf is not on this machine (PTQ_SHARED)"
}

@test "import: help, misuse, a file that is none" {
    run -0 ptq-import --help
    [[ $output == *"--vocab-only"* ]]
    run -100 ptq-import one
    run -100 ptq-import --dtype f8 a b
    [[ $output == "import: fatal: "* ]]
    run -100 ptq-import none.gguf hf
    [[ $output == *"none.gguf"* ]]
    echo "not a model" >no.gguf
    run -100 ptq-import no.gguf hf
    [[ $output == *"no.gguf"*"not a GGUF file"* ]]
    run -100 ptq-import . hf
    [[ $output == *"'.' is a folder"*"needs no import"* ]]
    [ ! -e hf ]
}

@test "import: a model folder, the same bytes each time, and never over another one" {
    need
    run -0 ptq-import --quiet "$gguf" hf
    [ "$(ls hf | tr '\n' ' ')" = "config.json generation_config.json model.safetensors special_tokens_map.json tokenizer.json tokenizer_config.json " ]
    run -0 ptq-import --quiet "$gguf" deep/er/hf/
    diff -r hf deep/er/hf
    run -100 ptq-import "$gguf" hf
    [[ $output == *"'hf' is not empty"* ]]
    run -0 ptq-import --quiet --vocab-only "$gguf" words
    [ "$(ls words | wc -l)" = 3 ]
    cmp words/tokenizer.json hf/tokenizer.json
    # a link to a folder stays one, a link to nothing is refused before the work
    mkdir real
    ln -s real link
    ln -s nowhere lost
    run -0 ptq-import --quiet --vocab-only "$gguf" link
    [ -L link ]
    diff -r words real
    run -100 ptq-import --quiet "$gguf" lost
    [[ $output == *"'lost' is a link to nothing"* ]]
    [ "$(echo *)" = "deep hf link lost real words" ]
}

@test "a GGUF file through a pipe is looked at as the file" {
    need
    cmp <(ptq-inspect --json <(cat "$gguf")) <(ptq-inspect --json "$gguf")
}

@test "import: a truncated file names itself and leaves nothing" {
    need
    head -c 700000 "$gguf" >cut.gguf
    run -100 ptq-import cut.gguf hf
    [[ $output == *"cut.gguf: truncated"*"download it again"* ]]
    [ "$(ls)" = cut.gguf ]
}

@test "import: a full disk is 111 and leaves nothing" {
    need
    # A limit on file size gives the same failing writes; 512 KiB are enough for the tokenizer, not for the tensors.
    run -111 bash -c 'trap "" XFSZ; ulimit -f 512; exec ptq-import --quiet "$1" hf' bash "$gguf"
    [[ $output == *"model.safetensors"* ]]
    [ -z "$(ls)" ]
}

@test "GGUF files of six architectures: imported, and read as they are, they are the checkpoints that they were made of" {
    golden=$(realpath "$BATS_TEST_DIRNAME/../golden/gguf")
    echo '{"input_ids":[0,1,2,3,1,0,2,3]}' >rows.jsonl
    for m in llama mixtral qwen3moe gemma2 gemma3 phi3; do
        ptq-import --quiet --dtype f32 "$golden/$m.gguf" $m 2>said
        ptq-diff $m/model.safetensors "$golden/$m.safetensors"
        ptq-check "$golden/$m.gguf"
        ptq-eval --model $m --data rows.jsonl --json --quiet >ours.json
        ptq-eval --model "$golden/$m.gguf" --data rows.jsonl --json --quiet >theirs.json
        cmp ours.json theirs.json
    done
    ptq-convert --quiet --model "$golden/llama.gguf" --format gptq codes
    ptq-eval --model codes --data rows.jsonl --json --quiet >codes.json
    ptq-eval --model llama --data rows.jsonl --json --quiet >ours.json
    cmp codes.json ours.json
}

@test "a run from a GGUF file of codes is told to import it" {
    need
    run -100 ptq run gptq --model "$gguf" --data "$gguf" --out out
    [[ $output == *"TinyStories-656K-Q8_0.gguf' is quantized already: "*"'ptq import $gguf DIR'"* ]]
    [[ $output != *config.json* ]]
}
