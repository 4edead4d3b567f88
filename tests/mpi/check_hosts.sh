#!/bin/sh
# check_hosts.sh BUILD - two hosts answer as one process does, to the last bit: two namespaces of the
# network with a rank each, and nothing but a cable between them.
#
# All that this makes, files and hosts, is in namespaces of mounts and processes that end with it,
# however it ends.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
. "$here/mpi.sh"
build=$1
work=/run/vlqa

apart() { # COMMAND...
    unshare --mount --pid --fork --kill-child --mount-proc "$@"
}

hosts() { # a and b, 10.77.0.1 and 10.77.0.2
    mount -n -t tmpfs tmpfs /run && mkdir "$work" && ip netns add a && ip netns add b &&
        ip link add cable netns a type veth peer name cable netns b || return
    for host in a:1 b:2; do
        ip -n "${host%:*}" addr add "10.77.0.${host#*:}/24" dev cable &&
            ip -n "${host%:*}" link set cable up && ip -n "${host%:*}" link set lo up || return
    done
    # What mpirun starts instead of ssh: a host has a name of its own, too.
    cat >"$work/agent" <<'END'
#!/bin/sh
while [ "$1" != 10.77.0.2 ]; do shift; done
shift
exec ip netns exec b unshare --uts sh -c "hostname b; $*"
END
    chmod +x "$work/agent"
}

if [ "${2:-}" != apart ]; then
    if ! has_mpi "$build"; then
        skip two_hosts_answer_as_one_process "$why_not"
    elif ! command -v ip >/dev/null; then
        skip two_hosts_answer_as_one_process 'no ip'
    elif ! errors=$(apart "$0" "$build" apart try 2>&1); then
        skip two_hosts_answer_as_one_process "no namespaces: $(echo "$errors" | head -n 1)"
    else
        apart "$0" "$build" apart
        exit
    fi
    finish
    exit
fi
hosts || exit 1
[ "${3:-}" != try ] || exit 0

ranks() {
    ip netns exec a unshare --uts sh -c "hostname a; . '$here/mpi.sh'; on_ranks \"\$@\"" sh 2 \
        --host 10.77.0.1:1,10.77.0.2:1 --mca plm_rsh_agent "$work/agent" --mca btl tcp,self \
        --mca btl_tcp_if_include cable --mca oob_tcp_if_include cable \
        "$build/tests/run_ranks" "$work/alone" 1 >"$work/said" 2>&1
    [ $? = 0 ] && [ "$(grep -c '^rank [0-9] of 2 gave' "$work/said")" = 2 ] || cat "$work/said"
}

crossed() { # HOST RANK: all that the rank gave
    sent=$(ip netns exec "$1" cat /sys/class/net/cable/statistics/tx_bytes)
    gave=$(sed -n "s/^rank $2 of 2 gave \([0-9]*\) bytes/\1/p" "$work/said")
    [ "${gave:-0}" -gt 1000000 ] && [ "$sent" -ge "$gave" ] ||
        echo "rank $2 gave ${gave:-0} bytes, and $sent crossed"
}

claim one_process_answers "$("$build/tests/run_ranks" alone "$work/alone" 2>&1 || echo 'it has failed')"
claim two_hosts_answer_as_one_process "$(ranks)"
claim what_ranks_give_crosses_the_cable "$(crossed a 0; crossed b 1)"
finish
