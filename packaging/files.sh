#!/bin/sh
# Install or uninstall: files.sh install|uninstall BUILD. DESTDIR is a prefix of every path; PREFIX is /usr/local by
# default.
set -eu
cd "$(dirname "$0")/.."
action=$1
build=$2
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}
version=$(sed -n 's/.*CELLSERVE_VERSION "\(.*\)"/\1/p' server/base/version.h)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# put MODE SOURCE TARGET: install or remove one file below the prefix.
put() {
    if [ "$action" = install ]; then
        install -D -m "$1" "$2" "$root$prefix/$3"
    else
        rm -f "$root$prefix/$3"
    fi
}

# printed DOCUMENT TARGET: install a document that the program prints.
printed() {
    [ "$action" = uninstall ] || "$build/cellserve" print "$1" >"$work/$1"
    put 644 "$work/$1" "$2"
}

# filled SOURCE TARGET: install a file with the prefix and the version filled in.
filled() {
    sed "s|@PREFIX@|$prefix|g; s|@VERSION@|$version|g" "$1" >"$work/filled"
    put 644 "$work/filled" "$2"
}

put 755 "$build/cellserve" bin/cellserve
printed man share/man/man1/cellserve.1
printed man-config share/man/man5/cellserve.json.5
printed bash share/bash-completion/completions/cellserve
printed zsh share/zsh/site-functions/_cellserve
filled packaging/cellserve.service lib/systemd/system/cellserve.service
put 644 "$build/libcellserve_core.a" lib/libcellserve_core.a
filled packaging/cellserve_core.pc lib/pkgconfig/cellserve_core.pc
for header in $(find core -name '*.h'); do
    put 644 "$header" "include/cellserve/$header"
done
put 644 LICENSE share/doc/cellserve/LICENSE
put 644 README.md share/doc/cellserve/README.md
# Remove the folders that only this package uses.
for folder in include/cellserve share/doc/cellserve; do
    [ "$action" = install ] || find "$root$prefix/$folder" -depth -type d -empty -delete 2>/dev/null || true
done
