#!/usr/bin/env bash
# Feeds every parser of bytes from outside with libFuzzer, under the address sanitizer:
#
#     scripts/fuzz.sh FUZZER SECONDS [TARGET...]
#
# As many targets at a time as there are processors, SECONDS each. What a run finds worth keeping stays in
# .fuzz/TARGET/corpus, and the next one goes on from there. Ends with a table, .fuzz/results.json for scripts, and exit
# code 1 where an input breaks a promise, traps, takes more than 10 s or 1 GiB, or leaks: it then lies in .fuzz/TARGET.
set -euo pipefail

fuzzer=$(realpath "$1")
seconds=$2
shift 2
cd "$(dirname "$0")/.."

# Swift's own report of a crash would wait for a debugger; libFuzzer's says what is needed.
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS=quarantine_size_mb=64:detect_stack_use_after_return=0

fuzz() {
    local target=$1 bytes=$2 seconds=$3 code=0
    local folder=.fuzz/$target
    mkdir -p "$folder/corpus"
    rm -f "$folder/log"
    FUZZ_TARGET=$target "$fuzzer" -max_total_time="$seconds" -max_len="$bytes" -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -reload=0 -artifact_prefix="$folder/" "$folder/corpus" "Tests/Fuzz/Corpus/$target" \
        >"$folder/log" 2>&1 || code=$?
    printf '%s' "$code" >"$folder/code"
    if [[ $code == 0 ]]; then
        printf '%s: %s\n' "$target" "$(grep -a DONE "$folder/log" | tail -n 1 | tr -s '\t ' ' ')"
    else
        printf '%s: FOUND SOMETHING, see %s\n' "$target" "$folder/log"
    fi
}
export -f fuzz
export fuzzer

chosen=$("$fuzzer" | awk -v wanted="$*" 'BEGIN { all = wanted == ""; split(wanted, w, " "); for (i in w) is[w[i]] }
    all || $1 in is { print $1, $2 }')
printf '%s targets, %s s each, %s at a time\n' "$(wc -l <<<"$chosen")" "$seconds" "$(nproc)"
xargs -P "$(nproc)" -L 1 bash -c 'fuzz "$1" "$2" '"$seconds" _ <<<"$chosen"

value() { awk -v name="stat::$2:" '$1 == name { print $2; found = 1 } END { if (!found) print 0 }' ".fuzz/$1/log"; }
failed=0
total=0
rows=
printf '\n%-12s %14s %9s %9s %8s  %s\n' target executions 'a second' coverage 'peak MB' result
while read -r target _; do
    executions=$(value "$target" number_of_executed_units)
    rate=$(value "$target" average_exec_per_sec)
    peak=$(value "$target" peak_rss_mb)
    coverage=$(grep -ao 'cov: [0-9]*' ".fuzz/$target/log" | tail -n 1 | cut -d ' ' -f 2 || true)
    result=ok
    if [[ $(<".fuzz/$target/code") != 0 ]]; then
        result=FOUND
        failed=1
    fi
    total=$((total + executions))
    printf '%-12s %14s %9s %9s %8s  %s\n' "$target" "$executions" "$rate" "${coverage:-0}" "$peak" "$result"
    rows+="${rows:+,}"$'\n    '"{\"target\": \"$target\", \"executions\": $executions, \"perSecond\": $rate,"
    rows+=" \"coverage\": ${coverage:-0}, \"peakMegabytes\": $peak, \"result\": \"$result\"}"
done <<<"$chosen"
printf '%-12s %14s\n' all "$total"
commit=$(git rev-parse --short HEAD 2>/dev/null || printf unknown)
printf '{\n  "date": "%s",\n  "commit": "%s",\n  "secondsEach": %s,\n  "executions": %s,\n  "targets": [%s\n  ]\n}\n' \
    "$(date +%F)" "$commit" "$seconds" "$total" "$rows" >.fuzz/results.json

if [[ $failed != 0 ]]; then
    while read -r target _; do
        [[ $(<".fuzz/$target/code") == 0 ]] && continue
        printf '\n%s:\n' "$target"
        grep -aE 'Fatal error|ERROR:|Test unit written' ".fuzz/$target/log" | head -n 5 || true
        for input in ".fuzz/$target/"{crash,timeout,oom,leak}-*; do
            [[ -f $input ]] || continue
            printf 'again with: SWIFT_BACKTRACE=enable=no FUZZ_TARGET=%s %s %s\n' "$target" "${fuzzer#"$PWD/"}" "$input"
        done
    done <<<"$chosen"
fi
exit "$failed"
