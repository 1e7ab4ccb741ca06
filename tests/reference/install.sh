#!/bin/bash
# Tests of make install and uninstall, and of the installed files: manuals, completion, systemd unit, library.
# install.sh [PREFIX]
cd "$(dirname "$0")/../.." || exit 1
prefix=${1:-/usr}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
bad=0

check() { # name, what is wrong
    echo "[ RUN      ] $1"
    if [ -n "$2" ]; then
        echo "$2"
        echo "[  FAILED  ] $1"
        bad=1
    else
        echo "[       OK ] $1"
    fi
}

make --no-print-directory install DESTDIR="$root" PREFIX="$prefix" >"$root/log" 2>&1 || check make_install "$(cat "$root/log")"
rm -f "$root/log"
at=$root$prefix
version=$(sed -n 's/.*CELLSERVE_VERSION "\(.*\)"/\1/p' server/base/version.h)
check the_program_runs "$([ "$("$at/bin/cellserve" -V)" = "cellserve $version" ] || echo "not version $version")"

for page in man1/cellserve.1 man5/cellserve.json.5; do
    file=$at/share/man/$page
    check "groff_takes_${page##*/}" "$(groff -man -ww -Tutf8 -z "$file" 2>&1)"
    check "man_shows_${page##*/}" "$(MANWIDTH=100 man -l "$file" 2>&1 | grep -q 'limits.max_rows' || echo "no limits.max_rows in it")"
done

complete_words() { # words of the command line; prints the completions of the last word
    bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cellserve; printf "%s\n" "${COMPREPLY[@]}"' bash \
        "$at/share/bash-completion/completions/cellserve" "$@" | sort | paste -sd' '
}
check bash_completes_commands "$(got=$(complete_words cellserve ve); [ "$got" = verify ] || echo "found: $got")"
check bash_completes_settings "$(got=$(complete_words cellserve serve --limits-max-r); [ "$got" = "--limits-max-response-bytes --limits-max-rows" ] || echo "found: $got")"
check bash_completes_values "$(got=$(complete_words cellserve serve --log-format j); [ "$got" = json ] || echo "found: $got")"
check bash_completes_own_flags "$(got=$(complete_words cellserve verify --rt); [ "$got" = --rtol ] || echo "found: $got")"
if command -v zsh >/dev/null; then
    check zsh_takes_its_completion "$(zsh -n "$at/share/zsh/site-functions/_cellserve" 2>&1)"
fi

unit=$at/lib/systemd/system/cellserve.service
if command -v systemd-analyze >/dev/null; then
    mkdir -p "$root/unit"
    sed "s|$prefix/bin/cellserve|$at/bin/cellserve|" "$unit" >"$root/unit/cellserve.service"
    check systemd_takes_the_unit "$(systemd-analyze verify --man=no "$root/unit/cellserve.service" 2>&1 | grep -i cellserve)"
    exposure=$(systemd-analyze security --offline=true "$root/unit/cellserve.service" 2>/dev/null | sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
    check the_unit_is_hardened "$(awk -v e="${exposure:-10}" 'BEGIN { if (e > 2.5) print "exposure " e }')"
fi

sed -n 's/^ \*     //p' core/rnn.h >"$root/example.inc"
cat >"$root/user.c" <<END
#include "core/rnn.h"
#include <stdio.h>
int main(void)
{
    printf("%s\n", vec_select(NULL)->name);
    return 0;
}
END
export PKG_CONFIG_PATH=$at/lib/pkgconfig
flags=$(pkg-config --define-variable=prefix="$at" --cflags --libs cellserve_core 2>&1)
# shellcheck disable=SC2086
check a_program_links_the_library "$(cc -o "$root/user" "$root/user.c" $flags -lopenblas 2>&1; "$root/user" 2>&1 | grep -qE 'avx|neon|blas|^c$' || echo "does not run")"
check pkg_config_has_the_version "$([ "$(pkg-config --modversion cellserve_core)" = "$version" ] || echo "not $version")"

make --no-print-directory uninstall DESTDIR="$root" PREFIX="$prefix" >/dev/null 2>&1
check uninstall_leaves_no_file "$(find "$at" -type f -o -name cellserve)"
exit $bad
