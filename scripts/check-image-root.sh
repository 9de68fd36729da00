#!/usr/bin/env bash
# Runs the binary in the file system that image-root.sh has laid out, as the image's user and with nothing of this machine
# but its network: a test that nothing is missing.
# Usage: check-image-root.sh DIRECTORY. Needs curl, and no root where users may make namespaces.
set -euo pipefail

root=$1
# Beside it, on the same disk: a copy by links takes neither time nor room.
work=$(mktemp -d "$root.XXXXXX")
pids=()
finish() {
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
ok() { echo "  ok  $*"; }
fail() {
    for log in "$work"/*.log; do sed "s#^#${log##*/}: #" "$log" >&2; done
    echo "error: $*" >&2
    exit 1
}

closed=$(find "$root" \( -type f ! -perm -004 \) -o \( -type d ! -perm -005 \))
[[ -z $closed ]] || fail "the image's user could not read $closed"

# What a pod has beside the image: names, a directory to write to, and /proc, from which Swift has the arguments.
image=$work/root
cp -al "$root" "$image"
printf '127.0.0.1 localhost\n' >"$image/etc/hosts"
echo 'nameserver 127.0.0.1' >"$image/etc/resolv.conf"
state=$image/var/lib/leasehold
mkdir "$state" "$image/proc"
enter=(unshare --user --map-root-user --mount sh -c
    'mount --rbind /proc "$0/proc" && exec unshare --user --map-user=65532 --map-group=65532 --root="$0" --wd=/ "$@"' "$image")
"${enter[@]}" /usr/local/bin/leasehold help >/dev/null 2>"$work/unshare.log" ||
    fail "leasehold does not start in $root; if that is since users may make no namespaces here, run this as root"

settings=(LEASEHOLD_STATE_DIRECTORY=/var/lib/leasehold)
leasehold() { env -i PATH="$PATH" "${settings[@]}" "${enter[@]}" /usr/local/bin/leasehold "$@"; }

version=$(leasehold version) || fail "leasehold version ended with exit code $?"
ok "${version//$'\n'/, }"

# LOG SED-EXPRESSION: prints what the expression makes of the line that is waited for.
wait_for() {
    for _ in {1..200}; do
        found=$(sed -nE "$2" "$work/$1.log")
        found=${found%%$'\n'*}
        [[ -z $found ]] || return 0
        sleep 0.05
    done
    fail "waited in vain for $2 in the log of $1"
}
start() { # NAME ARGUMENTS
    local name=$1
    shift
    # There from now on: the process may open it only after it has been looked into.
    : >"$work/$name.log"
    # By exec, so that the pid is its own.
    (exec env -i PATH="$PATH" "${settings[@]}" "${enter[@]}" /usr/local/bin/leasehold "$@" --cluster east --health-probe-bind-address 0 --metrics-bind-address 0) 2>"$work/$name.log" &
    pids+=($!)
}

# Both sides of TLS, by certificates that they make themselves, and a name from /etc/hosts.
start controller controller --namespace team-a --grants-bind-address 127.0.0.1:0
wait_for controller 's#^  grants +https://127.0.0.1:([0-9]+)/.*#\1#p'
start webhook webhook --grants-address "localhost:$found" --bind-address 127.0.0.1:0
wait_for webhook 's#^  admissions +(https://.*)#\1#p'
url=$found
ask() {
    curl --silent --show-error --max-time 5 --cacert "$state/clusters/east/tls/ca.crt" "$url" --data @- <<END
{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"one","operation":"CREATE",
"kind":{"group":"webapp.my.domain","version":"v1","kind":"Guestbook"},"name":"one","namespace":"team-a",
"resource":{"group":"webapp.my.domain","version":"v1","resource":"guestbooks"},
"userInfo":{"username":"system:serviceaccount:team-a:operator","groups":["system:serviceaccounts"]}}}
END
}
for _ in {1..200}; do
    answer=$(ask) || fail "no answer of $url"
    [[ $answer != *'"allowed":true'* ]] || break
    sleep 0.05
done
[[ $answer == *'"allowed":true'* ]] || fail "the webhook denied to the end: $answer"
ok "an admission over TLS, by a grant over mutual TLS: $answer"

# The authorities are read: the one that signed for the webhook is not among them, and that is what is said.
settings+=("STORAGE_EMULATOR_HOST=${url%/validate}")
if leasehold status --store gs://none >"$work/trust.log" 2>&1; then fail "a server was trusted that no authority knows"; fi
problem='unable to get local issuer certificate'
grep -q "$problem" "$work/trust.log" || fail "a server that no authority knows was not refused for that reason"
ok "a server that no authority knows: $problem"

# Names are asked for where /etc/resolv.conf says; nobody answers there, and that is what is said.
start name webhook --grants-address controllers.example:9443 --bind-address 127.0.0.1:0
wait_for name 's#.*(controllers.example.*Temporary failure in name resolution).*#\1#p'
ok "$found"
