#!/bin/sh
# Check documents, dashboard, alerts and installed files against the program. The last line counts the tests.
cd "$(dirname "$0")/../.." || exit 1
out=$(mktemp)
trap 'rm -f "$out"' EXIT
tests/reference/check.py build/cellserve 2>&1 | tee "$out"
tests/reference/install.sh 2>&1 | tee -a "$out"
passed=$(grep -c '^\[       OK' "$out") failed=$(grep -c '^\[  FAILED' "$out")
grep -q Traceback "$out" && failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
