#!/bin/bash
# Build and run all tests in a new root file system of Debian 13 (debootstrap): run.sh [SUITE], as root. If this is not
# possible, it prints the reason and "0 passed, 0 failed". DEBIAN_MIRROR names a mirror; the default is that of apt.
set -u
cd "$(dirname "$0")/../.."
suite=${1:-trixie}

skip() {
    echo "skipped: $1, so no test was run on $suite"
    echo "0 passed, 0 failed"
    exit 0
}

# The script mounts in its own namespace, so that the mounts disappear when it ends for any reason.
if [ -z "${DEBIAN13_UNSHARED:-}" ]; then
    [ "$(id -u)" = 0 ] || skip "this user is not root"
    unshare --mount --propagation private true 2>/dev/null || skip "nothing can be mounted here"
    tools/install.sh debian13 >/dev/null || skip "debootstrap cannot be installed"
    DEBIAN13_UNSHARED=yes exec unshare --mount --propagation private "$0" "$suite"
fi

root=$(mktemp -d /tmp/cellserve-debian13-XXXXXX)
chmod 755 "$root"
clean() {
    umount -l "$root/proc" "$root/dev" 2>/dev/null
    rm -rf --one-file-system "$root"
}
trap clean EXIT
trap 'exit 1' INT TERM HUP

mirror=${DEBIAN_MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^#' | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -1)}
if ! debootstrap --variant=minbase --include=git,make,ca-certificates "$suite" "$root" ${mirror:+"${mirror% }"} >"$root.log" 2>&1; then
    tail -n 5 "$root.log"
    rm -f "$root.log"
    skip "debootstrap made no root"
fi
rm -f "$root.log"
mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev" || skip "nothing can be mounted here"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # packages must not start services, which would use ports
# of the host
chmod +x "$root/usr/sbin/policy-rc.d"
mkdir "$root/src"
tar -c --exclude=./build --exclude=./.git . | tar -x -C "$root/src"
chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root ${http_proxy:+http_proxy="$http_proxy"} \
    make --no-print-directory -j"$(nproc)" -C /src test
