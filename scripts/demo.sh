#!/usr/bin/env bash
# Two clusters on this machine: who leads, who may write, a planned handover, and a take-over after a SIGKILL.
# Usage: demo.sh LEASEHOLD_BINARY. Ends by itself within a minute; exit code 0 only if every step showed what it should.
set -euo pipefail

leasehold=$1
namespaces=(orders payments search team-a team-b)
work=$(mktemp -d "${TMPDIR:-/tmp}/leasehold-demo.XXXXXX")
declare -A pid url
failures=0

cleanup() {
    for cluster in "${!pid[@]}"; do kill -9 "${pid[$cluster]}" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

if [[ -t 1 ]]; then bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'; else bold='' green='' red='' plain=''; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
check() { # CONDITION-RESULT SENTENCE
    if [[ $1 == 0 ]]; then
        printf '  %sok%s    %s\n' "$green" "$plain" "$2"
    else
        printf '  %sWRONG%s %s\n' "$red" "$plain" "$2"
        failures=$((failures + 1))
    fi
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
seconds() { printf '%d.%d s' $(($1 / 1000)) $(($1 % 1000 / 100)); }
status() { "$leasehold" status --store "file:$work/store" "$@"; }

start() { # CLUSTER
    local flags=()
    for namespace in "${namespaces[@]}"; do flags+=(--namespace "$namespace"); done
    # The shell in the background may come to it later than the first look.
    : >"$work/$1.log"
    "$leasehold" run --cluster "$1" --store "file:$work/store" --state-directory "$work/state-$1" "${flags[@]}" \
        --bind-address 127.0.0.1:0 --health-probe-bind-address 0 --metrics-bind-address 0 2>>"$work/$1.log" &
    pid[$1]=$!
    for _ in {1..100}; do
        url[$1]=$(sed -n 's/^  admissions  //p' "$work/$1.log")
        [[ -n ${url[$1]} ]] && return
        sleep 0.05
    done
    echo "cluster $1 did not start:" >&2
    cat "$work/$1.log" >&2
    exit 1
}

# Sends a write of the operator in NAMESPACE to CLUSTER's webhook, as that cluster's API server would. Prints the answer.
ask() { # CLUSTER NAMESPACE
    curl --silent --show-error --max-time 2 --cacert "$work/state-$1/clusters/$1/tls/ca.crt" "${url[$1]}" --data @- <<END
{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"demo-$RANDOM","operation":"UPDATE",
"kind":{"group":"webapp.my.domain","version":"v1","kind":"Guestbook"},"name":"one","namespace":"$2","dryRun":true,
"resource":{"group":"webapp.my.domain","version":"v1","resource":"guestbooks"},
"userInfo":{"username":"system:serviceaccount:$2:operator","groups":["system:serviceaccounts"]}}}
END
}
allows() { [[ $(ask "$1" "$2" 2>/dev/null) == *'"allowed":true'* ]]; }
leader() { # NAMESPACE: the cluster whose webhook admits its writes
    for cluster in "${!pid[@]}"; do
        if allows "$cluster" "$1"; then echo "$cluster"; fi
    done
}
other() { if [[ $1 == east ]]; then echo west; else echo east; fi; }

# Redraws the table on a terminal; elsewhere prints it once in a while.
table_lines=0
table_at=0
show() { # SENTENCE
    local text now
    now=$(milliseconds)
    if [[ -t 1 ]]; then
        text=$(status | sed 's/^\(.\)/  \1/')
        [[ $table_lines -gt 0 ]] && printf '\e[%dA\e[J' "$table_lines"
        printf '%s\n  %s\n' "$text" "$1"
        table_lines=$(($(wc -l <<<"$text") + 1))
    elif [[ $((now - table_at)) -ge 5000 ]]; then
        table_at=$now
        printf '  %s\n' "$1"
        status | sed 's/^\(.\)/    \1/'
    fi
}
show_anew() { table_lines=0 table_at=0; }
show_again() { table_at=0; }

step "1. Two clusters, east and west, compete for ${#namespaces[@]} namespaces"
start east
start west
for _ in {1..200}; do
    led=0
    for namespace in "${namespaces[@]}"; do [[ -n $(leader "$namespace") ]] && led=$((led + 1)); done
    [[ $led == "${#namespaces[@]}" ]] && break
    sleep 0.1
done
show_anew
show "every namespace has its leader"
check $((led != ${#namespaces[@]})) "all ${#namespaces[@]} namespaces are led"

step "2. Each cluster's operator writes, and its API server asks its own webhook"
for namespace in "${namespaces[@]}"; do
    east=denied west=denied
    allows east "$namespace" && east=allowed
    allows west "$namespace" && west=allowed
    [[ $east != "$west" ]] && result=0 || result=1
    check "$result" "$(printf '%-10s on east: %-8s on west: %s' "$namespace" "$east" "$west")"
done
from=$(leader team-a)
to=$(other "$from")
message=$(ask "$to" team-a | sed 's/.*"message":"\(\([^"\\]\|\\.\)*\)".*/\1/; s/\\"/"/g')
printf '  %s says: %s\n' "$to" "$message"
[[ $message == *"$from"* && $message == *team-a* && $message == *"$to"* ]] && result=0 || result=1
check "$result" "the denial names the namespace, the leader and the own cluster"

step "3. A planned handover: leasehold transfer team-a --to $to"
"$leasehold" transfer team-a --to "$to" --store "file:$work/store" >"$work/transfer.log" 2>&1 &
transfer=$!
began=$(milliseconds)
last_old=$began first_new=0 both=0
while [[ $first_new == 0 && $(($(milliseconds) - began)) -lt 15000 ]]; do
    before=$(milliseconds)
    old=no new=no
    allows "$from" team-a && old=yes && last_old=$(milliseconds)
    allows "$to" team-a && new=yes && first_new=$before
    # Asked one after the other, from before to now: overlapping answers would show as yes and then yes.
    [[ $old == yes && $new == yes ]] && both=1
done
wait "$transfer" && result=0 || result=1
sed 's/^/  /' "$work/transfer.log"
check "$result" "leasehold transfer ended well"
check $((both || first_new == 0)) "$from admitted until $(seconds $((last_old - began))), $to from $(seconds $((first_new - began))) on"
# The grant duration (3 s) and one second.
check $((first_new - began > 4000)) "the handover took no lease duration, only the grants' time"

step "4. SIGKILL for the leader of the other namespaces"
victim=$(leader team-b)
survivor=$(other "$victim")
# In one group, or bash reports the kill with its whole command line before the output is silenced.
{
    kill -9 "${pid[$victim]}"
    killed=$(milliseconds)
    wait "${pid[$victim]}" || true
} 2>/dev/null
unset "pid[$victim]"
renewed=$(status --output json | tr -d ' \n' | sed "s/.*\"cluster\":\"$victim\"[^}]*\"renewTime\":\"\([^\"]*\)\".*/\1/")
renewed=$(($(date -d "$renewed" +%s%N) / 1000000))
show_anew
taken=0
while [[ $(($(milliseconds) - killed)) -lt 30000 ]]; do
    if allows "$survivor" team-b; then
        taken=$(milliseconds)
        break
    fi
    show "$victim is dead for $(seconds $(($(milliseconds) - killed))); $survivor waits for 15 s of silence, one lease duration"
    sleep 0.2
done
for _ in {1..50}; do
    led=0
    for namespace in "${namespaces[@]}"; do [[ $(leader "$namespace") == "$survivor" ]] && led=$((led + 1)); done
    [[ $led == "${#namespaces[@]}" ]] && break
    sleep 0.1
done
show_again
show "$survivor leads"
check $((led != ${#namespaces[@]})) "$survivor leads all ${#namespaces[@]} namespaces, $(seconds $((taken - killed))) after the SIGKILL"
# The lease duration (15 s), two poll intervals (3 s each).
after=$((taken - renewed))
check $((after < 15000)) "not before one lease duration had passed since $victim's last heartbeat: $(seconds $after)"
check $((after > 21000 + 300)) "and no later than one lease duration and two poll intervals, 21 s"

step "5. The survivor leaves in good order"
kill "${pid[$survivor]}"
wait "${pid[$survivor]}" && result=0 || result=1
unset "pid[$survivor]"
check "$result" "$survivor ended with exit code 0"

if [[ $failures -gt 0 ]]; then
    printf '\n%s%d steps did not show what they should.%s The logs:\n' "$red" "$failures" "$plain"
    tail -n 30 "$work"/*.log
    exit 1
fi
printf '\n%sEvery step showed what it should.%s\n' "$green" "$plain"
