/* SPDX-License-Identifier: Apache-2.0 */
/* commands - the list. */
#include "commands.h"

#include <stddef.h>

const struct command commands[] = {
    {"run", "run the stages of a recipe: the whole job in one command"},
    {"recipes", "list the recipes that ptq run knows by name"},
    {"resolve", "solve the recorded problems of a run again, otherwise"},
    {"ctl", "look at a run that is going on; exchange its solvers; stop it"},
    {"top", "the stages of a run, refreshed every second"},
    {"metrics", "how far a run is, for Prometheus: a page of text by HTTP"},
    {"worker", "take part in a run of another host (ptq run --listen)"},
    {"plan", "say what a run would do: what overrides hit, size, work, memory"},
    {"families", "list the architectures that are known"},
    {"import", "turn a GGUF file into a Hugging Face folder"},
    {"rotate", "fold a Hadamard rotation into a checkpoint: the same model, easier to quantize"},
    {"generate", "let a model write text: calibration data of its own"},
    {"eval", "perplexity and KL divergence of a checkpoint"},
    {"report", "one HTML page about a run: losses, lengths, spectra, time"},
    {"inspect", "look into a stream, a problem, a checkpoint"},
    {"convert", "put a quantized checkpoint into another format, from its own codes"},
    {"check", "would an engine load this checkpoint? what is wrong in it, by name"},
    {"diff", "compare two streams or two checkpoints"},
    {"keys", "make the keys with which hosts of one run know each other"},
    {"cat", "copy a stream between endpoints, or measure a link"},
    {"allocate", "choose bits for every site, from what finished runs lost there"},
    {"law", "fit the scaling law to finished runs; predict and advise by it"},
    {"stream", "turn plain tensors into problems, solutions into plain tensors"},
    {"merge", "add the sums of several streams of problems"},
    {"sample", "stage 1: text to chunks of tokens"},
    {"importance", "between 1 and 2: weighs tokens by gradients (TLQ, VLMQ, MBQ)"},
    {"forward", "stage 2: chunks to the inputs of every site"},
    {"reduce", "stage 3: inputs to one problem a site"},
    {"solve", "stage 4: problem to solution"},
    {"slide", "instead of 2 to 4: windows of blocks learn their rounding (SliderQuant)"},
    {"slope", "beside slide: gradients of its steps, a part at a time"},
    {"write", "stage 5: solutions to a checkpoint"},
    {"completion", "completion of such lines for bash or zsh"},
    {NULL, NULL},
};
