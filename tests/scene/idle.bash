# SPDX-License-Identifier: Apache-2.0
# idle - a clock for what must not take long: it stands while processes of this machine wait for a processor. On a busy machine all
# takes longer, which is nobody's fault; who waits in vain waits on an idle one as well. And what waits costs no process.

idle() { # into $idle: milliseconds
    local line busy=0
    [ ! -r /proc/pressure/cpu ] || { read -r line && busy=${line##*=}; } </proc/pressure/cpu
    idle=$(((${EPOCHREALTIME/[.,]/} - busy) / 1000))
}

[ -n "${never:-}" ] || exec {never}<> <(:) # a pipe into which nobody writes

nap() { # SECONDS: without a process
    read -rt "$1" -u "$never" || true
}
