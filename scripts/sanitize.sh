#!/usr/bin/env bash
# Builds everything with a sanitizer, `address` or `thread`, and runs the targets of the tests that are named after it;
# what the tests start of this project is built with it, too. Ends with 1 when the sanitizer found anything, or a test did.
set -euo pipefail

kind=$1
shift
build=.build/$kind
reports=$PWD/$build/reports
options=(--scratch-path "$build" "--sanitize=$kind" --no-color-diagnostics)
common="log_path=$reports/report:exitcode=66"
case $kind in
address)
    # Freed memory stays so for long enough, and room for its copies of stacks is bounded: the tests run beside others.
    export ASAN_OPTIONS="$common:detect_leaks=1:detect_stack_use_after_return=0:quarantine_size_mb=64"
    export LSAN_OPTIONS="suppressions=$PWD/scripts/sanitizer-leaks.txt:print_suppressions=0"
    ;;
thread)
    # It misreads the locks of the standard library: Sources/Platform/Locked.swift.
    options+=(-Xswiftc -DLEASEHOLD_TSAN)
    export TSAN_OPTIONS="$common:history_size=4"
    ;;
*)
    echo "sanitize.sh: got $kind; allowed: address, thread" >&2
    exit 2
    ;;
esac

swift build --build-tests "${options[@]}"
rm -rf "$reports"
mkdir -p "$reports"
failed=()
for target in "$@"; do
    echo "== $kind: $target"
    # Without XCTest, which has no tests here, and leaks.
    swift test --skip-build --disable-xctest "${options[@]}" --filter "^$target" 2>&1 | scripts/test-summary.sh || failed+=("$target")
    echo "   reports so far: $(find "$reports" -type f -size +0 | wc -l)"
done

found=$(grep -rlE 'ERROR: |WARNING: ' "$reports" || true)
if [[ -n $found ]]; then
    echo "== $kind: found"
    # Each kind of finding once, with its place.
    grep -rhE '^SUMMARY: |ERROR: ThreadSanitizer: ' "$reports" |
        sed -E 's/\(BuildId: [^)]*\)//; s/^==[0-9]+==//' | sort | uniq -c | sort -rn | head -40 || true
    echo "All of it: $reports"
fi
[[ ${#failed[@]} -eq 0 ]] || echo "== $kind: tests failed in ${failed[*]}"
[[ -z $found && ${#failed[@]} -eq 0 ]]
