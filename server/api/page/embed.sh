#!/bin/sh
# Join the page's sources into one HTML file, and write this file as C with its Content-Security-Policy.
# embed.sh OUT.c: OUT.c gets the bytes, and OUT.html beside it the page as browsers get it.
set -eu
here=$(dirname "$0")
out=$1
html=${out%.c}.html
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Scripts in the order in which the numbers of their names stand. A policy allows a text by the hash of what stands
# between its tags. Indentation, empty lines and comments of one line stay behind: no text of the page depends on them.
strip() { sed 's/^ *//; /^\/\*.*\*\/$/d; /^$/d' "$@"; }
strip "$here"/[0-9]*.js >"$work/script"
strip "$here/page.css" >"$work/style"
strip "$here/page.html" >"$work/body"
awk -v style="$work/style" -v script="$work/script" '
    function put(file,   line) { while ((getline line <file) > 0) print line }
    /^<style><\/style>$/ { print "<style>"; put(style); print "</style>"; next }
    /^<script><\/script>$/ { print "<script>"; put(script); print "</script>"; next }
    { print }' "$work/body" >"$html"

hash() { # file: the SHA-256 of a newline and the file, in base64
    { echo; cat "$1"; } | sha256sum | awk '
        function digit(at) { return index("0123456789abcdef", substr($1, at, 1)) - 1 }
        function letter(value) { return substr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", value + 1, 1) }
        { for (i = 1; i < 64; i += 3) {
              value = 256 * digit(i) + 16 * digit(i + 1) + digit(i + 2)
              text = text letter(int(value / 64)) letter(value % 64)
          }
          print text letter(4 * digit(64)) "=" }'
}

policy="default-src 'none'; script-src 'sha256-$(hash "$work/script")'; style-src 'sha256-$(hash "$work/style")'; \
connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
require-trusted-types-for 'script'"
{
    echo '/* Made by server/api/page/embed.sh. */'
    echo '#include "server/api/page.h"'
    echo "const char page_policy[] = \"$policy\";"
    echo 'const unsigned char page_html[] = {'
    od -An -v -tu1 "$html" | sed 's/ *\([0-9][0-9]*\)/\1,/g'
    echo '};'
    echo 'const size_t page_html_bytes = sizeof page_html;'
} >"$out.part"
mv "$out.part" "$out"
