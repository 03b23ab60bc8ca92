# SPDX-License-Identifier: Apache-2.0
# One cell of the table of methods as methods.sh keeps it: what was asked ($ARGS.named), the run's report and journal, both measurements.
def measured: if . == null then null else { perplexity, perplexity_se, dnll, dnll_se, kld: .kld_mean, kld_se: .kld_mean_se, predictions } end;
def median: sort | .[length / 2 | floor];
[ $journal[] | select(.record == "site") ] as $sites |
($ARGS.named | del(.run, .journal, .wiki, .c4)) + {
    wiki: ($wiki[0] | measured), c4: ($c4[0] | measured),
    ess: ([ $sites[].ess ] | median), sequences: $sites[0].sequences, summed: $sites[0].tokens,
    solvers: (reduce $sites[].solver as $s ({}; .[$s] += 1)), fallbacks: ([ $sites[] | select(.fallback) ] | length),
    rel_loss_max: ([ $sites[].rel_loss ] | max),
    seconds: $run[0].wall_s, cpu_seconds: $run[0].cpu_s, version: $run[0].version
}
