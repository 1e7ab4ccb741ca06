#!/bin/sh
# Run test programs one by one. The last line counts their tests: "N passed, N failed".
# Some tests request allocations that are too large.
export ASAN_OPTIONS="${ASAN_OPTIONS:-allocator_may_return_null=1}" TSAN_OPTIONS="${TSAN_OPTIONS:-allocator_may_return_null=1}"
passed=0 failed=0
for program in "$@"; do
    output=$(mktemp)
    "$program" >"$output" 2>&1
    code=$?
    ok=$(grep -c '^\[       OK \]' "$output")
    bad=$(grep '^\[  FAILED  \] [A-Za-z0-9_]*$' "$output" | sort -u | wc -l)
    # A program that crashed, or whose exit code reports a leak or a server's failure, has failed too.
    [ "$code" = 0 ] || [ "$bad" != 0 ] || bad=1
    # A program that ran no test has failed too, unless it reports a skipped test.
    [ "$code" != 0 ] || [ "$ok" != 0 ] || grep -q '^\[  SKIPPED \]' "$output" || bad=1
    if [ "$bad" != 0 ]; then
        cat "$output"
        echo "FAIL $program (exit $code)"
    else
        echo "ok   $program ($ok)"
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
    rm -f "$output"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
