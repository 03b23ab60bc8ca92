#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# images.bats - chats with images through ptq-sample as a process: what comes out, what is refused, what is left out and counted.
bats_require_minimum_version 1.5.0
load left.bash

# Tokens are letters; an image is four <image> tokens between <fake_token_around_image> with <global-img> in front.
make_model() {
    mkdir model
    {
        printf '{"added_tokens":[{"id":27,"content":"<image>","special":true},{"id":28,"content":"<fake_token_around_image>","special":true},'
        printf '{"id":29,"content":"<global-img>","special":true}],"model":{"type":"BPE","merges":[],"vocab":{"?":0'
        i=0
        for c in a b c d e f g h i j k l m n o p q r s t u v w x y z; do
            i=$((i + 1))
            printf ',"%s":%d' $c $i
        done
        printf '}}}'
    } >model/tokenizer.json
    echo '{}' >model/tokenizer_config.json
    cat >model/chat_template.jinja <<'END'
{% for m in messages %}{{ m.role[0] }}{% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}
END
    cat >model/preprocessor_config.json <<'END'
{"image_processor_type": "Idefics3ImageProcessor", "do_image_splitting": false, "size": {"longest_edge": 8},
 "max_image_size": {"longest_edge": 8}, "resample": 1, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
END
    cat >model/config.json <<'END'
{"architectures": ["Idefics3ForConditionalGeneration"], "model_type": "idefics3", "image_token_id": 27, "scale_factor": 2,
 "text_config": {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 1, "num_key_value_heads": 1,
  "intermediate_size": 8, "vocab_size": 30, "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu"},
 "vision_config": {"hidden_size": 8, "image_size": 8, "patch_size": 2, "num_attention_heads": 1, "num_hidden_layers": 1, "intermediate_size": 8}}
END
}

setup() {
    golden=$BATS_TEST_DIRNAME/../golden/image
    cd "$BATS_TEST_TMPDIR"
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    make_model
    mkdir photos
    cp "$golden"/{rgb.png,turn6.jpg,lossy.webp,short.png} photos
}

chat() { # SOURCE: a line
    printf '{"messages": [{"role": "user", "content": [{"type": "image", "path": "%s"}, {"type": "text", "text": "x"}]}]}\n' "$1"
}

sample() { # CODE ARGUMENTS...
    code=$1
    shift
    run --separate-stderr "-$code" ptq-sample --model model --data photos/data.jsonl --tokens 0 "$@"
}

@test "paths, file:, data URIs, image_url and LLaVA's lines become rows with their images" {
    {
        chat rgb.png
        chat "file:$PWD/photos/turn6.jpg"
        chat "data:image/webp;base64,$(base64 -w0 photos/lossy.webp)"
        echo '{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "rgb.png"}}]}]}'
        echo '{"image": "rgb.png", "conversations": [{"from": "human", "value": "<image>\nx"}, {"from": "gpt", "value": "y"}]}'
    } >photos/data.jsonl
    sample 0 --out out.ptq
    [[ $stderr == *"5 rows "*"= 46 tokens in 1 chunk"* ]]
    [[ $stderr == *"5 images in them"* ]]
    run -0 ptq-inspect out.ptq
    [[ $output == *'"mode":"whole"'*'"images":"'* ]]
    [[ $output == *"modality  U8 [46]"* && $output == *"image  I32 [46]"*"min -1 max 4"* ]]
    [[ $output == *"pixels  F32 [5, 3, 8, 8]"* && $output == *"image_size  I32 [5, 2]"*"min 24 max 37"* ]]
    (cd / && ptq-sample --quiet --model "$OLDPWD/model" --data "$OLDPWD/photos/data.jsonl" --tokens 0) | cmp - out.ptq
}

@test "a bad image is refused by name, or left out and counted" {
    { chat rgb.png && chat short.png && chat absent.png && chat https://example.org/a.png && chat turn6.jpg; } >photos/data.jsonl
    sample 100
    [[ $stderr == *"--bad-images skip"*"data.jsonl:2"*"short.png: PNG: "* ]]
    sample 0 --bad-images skip --out out.ptq
    [[ $stderr == *"3 chats were left out because of an image, the first: "*"short.png: PNG"* ]]
    [[ $stderr == *"2 rows of 9 = 18 tokens"* ]]
    run -0 ptq-inspect out.ptq
    [[ $output == *'"bad_images":"skip"'*'"images":2,"images_bad":3'* ]]
    chat short.png >photos/data.jsonl
    sample 1 --bad-images skip
    [[ $stderr == *"1 left out because of an image"* ]]
}

@test "images are not cut, and a model that does not see takes none" {
    chat rgb.png >photos/data.jsonl
    sample 100 --mode concat --length 4
    [[ $stderr == *"say --mode whole"* ]]
    sample 1 --length 8
    [[ $stderr == *"1 of them longer than 8 tokens"* ]]
    sed -i 's/Idefics3ImageProcessor/MyImageProcessor/' model/preprocessor_config.json
    sample 100
    [[ $stderr == *"'MyImageProcessor', which is not known"* ]]
    run --separate-stderr -100 ptq-eval --model "$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3" --data photos/data.jsonl
    [[ $stderr == *"photos/data.jsonl:1: a chat with images: they are not read here; "*"--answers"* ]]
    run --separate-stderr -100 ptq-sample --model "$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3" --data photos/data.jsonl --tokens 0
    [[ $stderr == *"a model without a vision tower"* ]]
}

@test "an image that changes before it is sent ends the run" {
    chat rgb.png >photos/data.jsonl
    mkfifo log
    timeout 30 ptq-sample --model model --data photos/data.jsonl --tokens 0 --out "@ipc://$PWD/s" 2>log &
    pid=$!
    exec 4<log
    while read -r line <&4 && [[ $line != *"1 image in them"* ]]; do :; done # planned: now it waits for somebody to send to
    cp "$golden/grey.png" photos/rgb.png
    run -1 timeout 30 ptq-cat --quiet --in "ipc://$PWD/s" --out got.ptq
    said=$(cat <&4)
    run -1 wait $pid
    [[ $said == *"'rgb.png' has changed since it was read first"* ]]
}

@test "ptq run knows before the start that a model does not take the images of its data" {
    rm -r model
    cp -r "$BATS_TEST_DIRNAME/../golden/conformance/idefics3" model
    chmod -R u+w model
    printf '{"image_processor_type": "%s", "size": {"longest_edge": 32}, "max_image_size": {"longest_edge": 32}}\n' \
        Idefics3ImageProcessor >model/preprocessor_config.json
    echo '{"input_ids": [5, 310, 310, 310, 310, 6], "image": "rgb.png"}' >photos/data.jsonl
    args=(--dry-run --model model --data photos/data.jsonl --tokens 6 --out out)
    run -0 ptq run gptq "${args[@]}"
    sed -i 's/Idefics3ImageProcessor/MyImageProcessor/' model/preprocessor_config.json
    run --separate-stderr -100 ptq run gptq "${args[@]}"
    [[ $stderr == *"--data: photos/data.jsonl:1: "*"'MyImageProcessor', which is not known"* ]]
    rm model/preprocessor_config.json
    run --separate-stderr -100 ptq run gptq "${args[@]}"
    [[ $stderr == *"has no preprocessor_config.json"* ]]
    [ ! -e out ]
}

@test "images calibrate: rows of text and image tokens are counted and mixed, and other pictures give other weights" {
    rm -r model
    cp -r "$BATS_TEST_DIRNAME/../golden/conformance/idefics3" model
    chmod -R u+w model
    printf '{"image_processor_type": "Idefics3ImageProcessor", "size": {"longest_edge": 32}, "max_image_size": {"longest_edge": 32}, "do_image_splitting": false}\n' \
        >model/preprocessor_config.json
    for image in rgb.png turn6.jpg lossy.webp; do
        for n in 11 12 13 14 15 16; do
            printf '{"input_ids": [5, %d, 310, 310, 310, 310, %d, 7, 8, 9, %d, 33], "image": "%s"}\n' $n $((n * 9)) $((n * 7)) $image
        done
    done >photos/data.jsonl
    sed 's/lossy.webp/turn6.jpg/' photos/data.jsonl >photos/other.jsonl
    { cat photos/data.jsonl && echo; } >photos/again.jsonl # the same rows, the provenance another
    for data in data again other; do
        ptq run gptq --quiet --model model --data photos/$data.jsonl --tokens 216 --group 32 --classes modality --mix text=1,image=0.3 --out $data
    done
    [ "$(jq -r 'select(.record == "site") | .classes | map("\(.name) \(.tokens)") | join(" ")' data/.ptqflow/journal.jsonl | sort -u)" = "text 144 image 72" ]
    ptq diff data again
    run -1 ptq diff data other
}
