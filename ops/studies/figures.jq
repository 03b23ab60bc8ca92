# SPDX-License-Identifier: Apache-2.0
# figures.jq - numbers of tables: means over cells, their spread, digits.
def mean: add / length;
def sd: if length < 2 then null else (mean) as $m | (map((. - $m) * (. - $m)) | add / (length - 1) | sqrt) end;
def fixed(n): if . == null then "-" else (pow(10; n)) as $p | (. * $p | round | fabs | tostring) as $digits |
    (("0" * ([n + 1 - ($digits | length), 0] | max) // "") + $digits) as $d |
    (if . * $p | round < 0 then "-" else "" end) + $d[:($d | length) - n] + "." + $d[($d | length) - n:] end;
def spread(n): (mean | fixed(n)) + (if length > 1 then " (\(sd | fixed(n)))" else "" end);
