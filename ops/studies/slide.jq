# SPDX-License-Identifier: Apache-2.0
# The table of slide.sh from its cells.
include "figures";
def title: { "w2": "2 bits, a scale a row", "w3": "3 bits, a scale a row", "w4": "4 bits, a scale a row",
    "w4a4": "W4A4: 4 bits, a scale a row; inputs of linears, q, k and v of 4 bits" }[.];
def words: { "rtn": "rtn", "gptq": "gptq", "best": "best of gptq, qep+gptq, qronos at each site", "fixed": "fixed windows", "intra": "and intra-layer stages", "grow": "and expanding windows",
    "shrink": "and contracting windows instead", "slide": "all", "noalpha": "all, without channel scales", "norank": "all, without low rank", "final": "all, and rounded by GPTQ", "half": "all, by products of bf16" }[.];
def line: "| \(.method | words) | \(.perplexity | fixed(2)) | \(.kld | fixed(4)) | \(.top1 * 100 | fixed(1)) % | \(.seconds) |";

# Of each model those with the budget of the last one.
(group_by(.model) | map(last.key as $k | .[] | select(.key == $k))) as $cells | ($settings | split(" ")) as $settings | ($methods | split(" ")) as $methods |
"# Windows that learn",
"",
"Made by `make bench-slide` (ops/studies/slide.sh says what it can be told); do not edit, but for ops/studies/slide/says.md.",
"",
$says,
($cells | map(.model) | unique | sort_by(. != "tale-qwen3")[] | . as $model |
    ($cells | map(select(.model == $model)))[0] as $one |
    "## \($model)",
    "",
    "\($one.tokens) calibration tokens in rows of \($one.length), the same for all; each window takes \($one.epochs) passes, a row a step. \($one.windows) windows of text that was not calibrated with. The model itself: perplexity \($one.ref_perplexity | fixed(2)).",
    "",
    ($settings[] as $s | [ $methods[] as $m | $cells[] | select(.model == $model and .setting == $s and .method == $m) ] | select(length > 0) |
        "### \($s | title)", "",
        "| | perplexity | KL divergence | same top token | CPU seconds |",
        "| --- | ---: | ---: | ---: | ---: |",
        (.[] | line),
        "")),
([ $want | split(" ")[] | select(. as $w | $cells | any("\(.model):\(.method)-\(.setting)" == $w) | not) ] |
    if length == 0 then "All cells are there" else "**Not run yet:** \(join(", "))" end) +
    "; \($cells | length) cells, \($cells | map(.seconds) | add / 60 | fixed(1)) CPU minutes to make, at commit \($cells | map(.commit) | unique | join(", "))."
