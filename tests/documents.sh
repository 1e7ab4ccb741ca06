#!/bin/sh
# Checks that the documents name only files and functions that exist, so that a renamed file or function is renamed in
# the documents too. documents.sh [ROOT]: ROOT is the tree.
cd "${1:-$(dirname "$0")/..}" || exit 1
bad=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() { # name, offending lines
    echo "[ RUN      ] $1"
    if [ -n "$2" ]; then
        echo "$2"
        echo "[  FAILED  ] $1"
        bad=1
    else
        echo "[       OK ] $1"
    fi
}

# All files and folders except build/.
find . \( -name .git -o -name build \) -prune -o -print | sed 's|^\./||' >"$work/tree"
tops=$(for folder in */; do echo "${folder%/}"; done | grep -v '^build$' | paste -sd'|')

# Names that are not in the tree: headers of libraries, files of users, and files that tools make.
others='^(microhttpd|cblas|jansson|hdf5|zip|cmocka|pthread|stdio)\.h$|^(model|compile_commands|cellserve)\.json$|^x\.npy$'

documents() {
    ls README.md CONTRIBUTING.md
    find docs server config core tests -name '*.md'
}

# Print "document:path" for each path that a document names: from the root (core/rnn.h, server/http/, config/*.c), or
# the end of a source file's path (keras/layer.c, http.c). Paths with NAME, which means any name, are skipped.
paths() { # document
    grep -oE '[A-Za-z0-9_.*/-]*[A-Za-z0-9_*/]' "$1" | grep -E "^($tops)/[A-Za-z*]|^[A-Za-z0-9_/*-]+\.(c|h|sh|py)$" |
        grep -vE "NAME|$others|^docs/(api|http)$" | sort -u | sed "s|^|$1:|"
}

# Whether the tree has a path that a document names.
exists() { # path
    pattern=$(printf '%s' "${1%/}" | sed 's|[.]|[.]|g; s|\*|[^/]*|g')
    grep -qE "^(.*/)?$pattern\$" "$work/tree"
}

missing_paths() {
    documents | while read -r document; do paths "$document"; done | while IFS=: read -r document path; do
        exists "$path" || echo "$document: there is no $path"
    done
}

# Names of functions, structs and constants in `backquotes`, in the documents that explain the source, which no source
# has as a word. Names of settings, metrics and JSON keys do not match, or are in the sources too.
missing_names() {
    documents | grep -E '(^|/)(CONTRIBUTING|docs/architecture|server|config|core|tests)' | while read -r document; do
        grep -oE '`[A-Za-z0-9_]+_[A-Za-z0-9_]+(\(\))?`' "$document" | tr -d '`()' | sort -u |
            grep -vxFf "$work/words" | sed "s|^|$document: no source has |"
    done
}
grep -E '^(core|config|server|tests|tools|bench)/.*\.(c|h|sh|py)$|^Makefile$' "$work/tree" | grep -vE '^tests/(fixtures/|documents\.sh)' |
    xargs grep -ohE '[A-Za-z0-9_]+_[A-Za-z0-9_]+' | sort -u >"$work/words"

# Links to files that do not exist, relative to the document.
missing_links() {
    documents | while read -r document; do
        grep -oE '\]\([A-Za-z0-9_./-]+(#[a-z0-9-]+)?\)' "$document" | sed 's/^](//; s/[#)].*//' | sort -u | while read -r path; do
            [ -e "$(dirname "$document")/$path" ] || echo "$document: the link to $path has no target"
        done
    done
}

# Pages that are missing in the site's contents.
missing_pages() {
    find docs -name '*.md' | sed 's|^docs/||' | while read -r page; do
        grep -qE ": $page\$" mkdocs.yml || echo "mkdocs.yml has no docs/$page"
    done
}

# Lines of more than 120 characters that are neither a table, nor code, nor a URL.
long_lines() {
    { documents; ls CHANGELOG.md SECURITY.md docker/README.md bench/results.md 2>/dev/null; } | while read -r document; do
        awk '/^```/ { code = !code } !code && !/^(\||    )/ && !/https?:/ { print FILENAME ":" FNR ": " $0 }' "$document" |
            sed 's/^\([^:]*:[0-9]*\): /\1\t/' | LC_ALL=C.UTF-8 grep -P '\t.{121,}' | cut -c1-100
    done
}

check documents_have_short_lines "$(long_lines)"
check documents_name_files_that_exist "$(missing_paths)"
check documents_name_functions_that_exist "$(missing_names)"
check documents_link_to_files_that_exist "$(missing_links)"
check documents_are_in_the_contents_of_the_site "$(missing_pages)"

# Test the checks with a wrong document.
mkdir "$work/docs"
printf 'See `server/nothing.c`, nothing_at_all.h and `no_such_function()`; `core/rnn.h` is [there](nowhere.md).\n' >"$work/docs/architecture.md"
documents() { echo "$work/docs/architecture.md"; }
found=$({ missing_paths; missing_names; missing_links; } | wc -l)
check names_that_do_not_exist_are_found "$([ "$found" = 4 ] || echo "$found of 4 were found")"
exit $bad
