# SPDX-License-Identifier: Apache-2.0
# The table of vlm.sh from its cells.
include "figures";
def title: { "w4-channel": "4 bits, one scale a row", "w4-g64": "4 bits, groups of 64", "w3-channel": "3 bits, one scale a row",
    "w3-g64": "3 bits, groups of 64", "w2-channel": "2 bits, one scale a row", "w2-g64": "2 bits, groups of 64" }[.];
def words: { "rtn": "rtn", "text": "gptq, prose", "words": "gptq, image-text rows, image 0 (the words alone)", "images": "gptq, image-text rows, image 1 (as counted)",
    "image-0.1": "gptq, image-text rows, image 0.1", "image-0.3": "gptq, image-text rows, image 0.3", "image-3": "gptq, image-text rows, image 3",
    "mbq": "gptq, image-text rows, ratios of MBQ (--mix auto)", "attention": "gptq, image-text rows, weights from attention" }[.];
# Same grid and seed: what the seeds have in common cancels.
def against($cells; $grid; $base; field; n): . as $method |
    [ $cells[] | select(.grid == $grid and .method == $method) | . as $c | first($cells[] | select(.grid == $grid and .method == $base and .seed == $c.seed)) as $b |
        ($c | field) - ($b | field) ] | if length == 0 then "-" else (if mean >= 0 then "+" else "" end) + spread(n) end;

. as $cells | ($grids | split(" ") | sort_by({ "4": 0, "3": 1, "2": 2 }[.[1:2]], .[3:])) as $grids | ($methods | split(" ")) as $methods |
"# What calibration with images is worth to a vision-language model",
"",
"Made by `make bench-vlm` (ops/studies/vlm.sh says what it can be told); do not edit, but for ops/studies/vlm/says.md.",
"",
"shapes-vlm, 3.2 M parameters (Idefics3 layout): \($cells[0].questions) questions about pictures, answered by greedy decoding. \($cells[0].tokens) calibration tokens a cell;",
"prose is TinyStories, on which the model was trained too, image-text rows are chats about pictures (of their tokens \(
    $cells | map(select(.method == "images"))[0] | if . == null then "?" else "\(.image_tokens) are of images, \(.text_tokens) words" end) at seed 1).",
"right: exact match. log-likelihood: of an answer, nats. KL: from the unquantized model, nats for each token of an answer. Means over the seeds, standard deviation",
"over the seeds in brackets; the standard error over the questions, which all cells share, is about \($cells | map(.exact_se) | mean | fixed(3)) for right.",
"against prose: the difference at equal seeds, mean and deviation. Unquantized: 0.970 right. Sums come from the unquantized model, one pass for each seed and kind of data.",
"",
$says,
($grids[] as $grid | "## \($grid | title)", "",
    "| | seeds | right | log-likelihood | KL | log-likelihood against prose | KL against prose |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ($methods[] as $m | [ $cells[] | select(.grid == $grid and .method == $m) ] | select(length > 0) |
        "| \($m | words) | \(length) | \(map(.exact) | spread(3)) | \(map(.logprob) | spread(3)) | \(map(.kld) | spread(4)) | " +
        (if $m == "text" or $m == "rtn" then " | |" else "\($m | against($cells; $grid; "text"; .logprob; 3)) | \($m | against($cells; $grid; "text"; .kld; 4)) |" end)),
    ""),
([ $grids[] as $g | $methods[] as $m | range(1; ($seeds | tonumber) + 1) as $s | select($m != "rtn" or $s == 1) | [ $g, $m, $s ] ] as $want |
    [ $want[] | select(. as $w | $cells | any(.grid == $w[0] and .method == $w[1] and .seed == $w[2]) | not) ] |
    if length == 0 then "All cells are there" else "**Not run yet:** \(map("\(.[0]) \(.[1]) seed \(.[2])") | join(", "))" end) +
    "; \($cells | length) cells, \($cells | map(.cpu_seconds) | add / 60 | fixed(1)) CPU minutes, at commit \($cells | map(.commit) | unique | join(", "))."
