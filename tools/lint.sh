#!/bin/sh
# Checks that compilers do not make: cppcheck on our sources, and a few greps.
set -eu
cd "$(dirname "$0")/.."
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr -I. -D_GNU_SOURCE \
    --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --suppress=unknownMacro core config server
! grep -nE 'march=native|ffast-math' Makefile docker/* 2>/dev/null
! grep -nE '\b(gets|strcpy|strcat|sprintf)\(' $(git ls-files 'core/*.c' 'config/*.c' 'server/*.c')
tests/arrows.sh >/dev/null || { tests/arrows.sh; exit 1; }
clang-format --dry-run --Werror $(git ls-files '*.c' '*.h')
echo "lint: nothing found"
