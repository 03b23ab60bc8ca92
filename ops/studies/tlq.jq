# SPDX-License-Identifier: Apache-2.0
# The table of tlq.sh from its cells.
include "figures";
def title: { "w3-g64": "3 bits, groups of 64", "w2-g64": "2 bits, groups of 64", "w4a8": "W4A8: 4 bits, one scale a row, activations of 8 bits a token" }[.];
def words: { "rtn": "rtn", "uniform": "gptq, every token alike", "mbq": "gptq, MBQ ratio (vlm-weighted)", "attention": "gptq, weights from attention",
    "vlmq": "gptq, VLMQ", "tlq": "gptq, TLQ", "tlq-0.25": "gptq, TLQ, the quarter that weighs most", "tlq-0.5": "gptq, TLQ, the half that weighs most",
    "tlq-0.75": "gptq, TLQ, three quarters", "uniform-target": "gptaq, every token alike", "tlq-target": "gptaq, TLQ" }[.];
# Same grid and seed: what the seeds have in common cancels.
def against($cells; $grid; field; n): . as $method |
    [ $cells[] | select(.grid == $grid and .method == $method) | . as $c | first($cells[] | select(.grid == $grid and .method == "uniform" and .seed == $c.seed)) as $b |
        ($c | field) - ($b | field) ] | if length == 0 then "-" else (if mean >= 0 then "+" else "" end) + spread(n) end;

. as $cells | ($grids | split(" ")) as $grids | ($methods | split(" ")) as $methods |
"# Which tokens count: weights from gradients, from attention, and none",
"",
"Made by `make bench-tlq` (ops/studies/tlq.sh says what it can be told); do not edit, but for ops/studies/tlq/says.md.",
"",
"shapes-vlm, 3.2 M parameters (Idefics3 layout): \($cells[0].questions) questions about pictures, answered by greedy decoding. \($cells[0].tokens) calibration tokens a cell, chats about pictures.",
"right: exact match. log-likelihood: of an answer, nats. KL: from the unquantized model, nats for each token of an answer. Means over the seeds, standard deviation",
"over the seeds in brackets; the standard error over the questions, which all cells share, is about \($cells | map(.exact_se) | mean | fixed(3)) for right.",
"against uniform: the difference at equal seeds, mean and deviation. Unquantized: 0.970 right. Every cell is a run of its own: sites see the quantized prefix.",
"",
$says,
($grids[] as $grid | "## \($grid | title)", "",
    "| | seeds | right | log-likelihood | KL | log-likelihood against uniform | KL against uniform |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ($methods[] as $m | [ $cells[] | select(.grid == $grid and .method == $m) ] | select(length > 0) |
        "| \($m | words) | \(length) | \(map(.exact) | spread(3)) | \(map(.logprob) | spread(3)) | \(map(.kld) | spread(4)) | " +
        (if $m == "uniform" or $m == "rtn" then " | |" else "\($m | against($cells; $grid; .logprob; 3)) | \($m | against($cells; $grid; .kld; 4)) |" end)),
    ""),
([ $grids[] as $g | $methods[] as $m | range(1; ($seeds | tonumber) + 1) as $s | select($m != "rtn" or $s == 1) | [ $g, $m, $s ] ] as $want |
    [ $want[] | select(. as $w | $cells | any(.grid == $w[0] and .method == $w[1] and .seed == $w[2]) | not) ] |
    if length == 0 then "All cells are there" else "**Not run yet:** \(map("\(.[0]) \(.[1]) seed \(.[2])") | join(", "))" end) +
    "; \($cells | length) cells, \($cells | map(.cpu_seconds) | add / 60 | fixed(1)) CPU minutes, at commit \($cells | map(.commit) | unique | join(", "))."
