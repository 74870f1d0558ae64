#!/bin/bash
# zfs-pool.sh SIZE CMD... - run CMD beside a real ZFS pool of its own: Debian's zfs-fuse, in user space over FUSE.
#
# The daemon, its socket, its lock, its cache of pools and all mounts live in a private mount namespace: several pools can
# be there at once, and nothing is left when CMD ends. CMD sees POOL, the pool's name, and POOL_FOLDER, where it is mounted.
#
# With DSVC_TEST_OPENZFS, in the machine of zfs-machine.sh, it is a pool of the kernel's OpenZFS, and atime is on in it as
# ZFS has it by default. SIZE may be a device there, such as /dev/vdb1.
set -euo pipefail
if [ "${INSIDE:-}" != 1 ]; then
    exec env INSIDE=1 unshare --mount --propagation private bash "$0" "$@"
fi
unset INSIDE
size=$1
shift
PATH=$PATH:/usr/sbin:/sbin
if [ -n "${DSVC_TEST_OPENZFS:-}" ]; then
    base=$(mktemp -d "${TMPDIR:-/tmp}/dsvc-pool.XXXXXX")
    chmod 755 "$base"
    finish() {
        code=$?
        trap - EXIT INT TERM HUP
        cd /
        for pool in $(zpool list -H -o name); do
            if [ "$pool" = "$POOL" ] || zpool status -P "$pool" | grep -qF "$base/"; then zpool destroy -f "$pool" || :; fi
        done
        rm -rf --one-file-system "$base"
        exit "$code"
    }
    trap finish EXIT
    trap 'exit 130' INT TERM HUP
    export POOL="dsvc$$" POOL_FOLDER="$base/pool" POOL_DAEMON=0 POOL_DISK="$base/disk"
    if [ -b "$size" ]; then disk=$size; else disk=$POOL_DISK; truncate -s "$size" "$disk"; fi
    zpool create -f -m "$POOL_FOLDER" "$POOL" "$disk"
    "$@"
    exit
fi
mkdir -p /run/zfs /run/lock/zfs /var/lib/zfs
for folder in /run/zfs /run/lock/zfs /var/lib/zfs; do mount -t tmpfs -o mode=755 pool "$folder"; done
base=$(mktemp -d "${TMPDIR:-/tmp}/dsvc-pool.XXXXXX")
daemon=

finish() {
    code=$?
    trap - EXIT INT TERM HUP
    cd /
    # The pool is on a file that goes too, so nothing has to be put in order.
    if [ -n "$daemon" ]; then
        kill -9 "$daemon" 2>/dev/null || :
        wait "$daemon" 2>/dev/null || :
    fi
    umount --lazy --all --types fuse.zfs 2>/dev/null || :
    rm -rf --one-file-system "$base"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# Without a mount of its statistics, and with a small cache.
setsid zfs-fuse --no-daemon --no-kstat-mount -m 64 </dev/null >"$base/log" 2>&1 &
daemon=$!
for _ in {1..500}; do zpool list >/dev/null 2>&1 && break; sleep 0.02; done
truncate -s "$size" "$base/disk"
export POOL="dsvc$$" POOL_FOLDER="$base/pool" POOL_DAEMON=$daemon POOL_DISK="$base/disk"
zpool create -O atime=off -m "$POOL_FOLDER" "$POOL" "$base/disk" || { cat "$base/log" >&2; exit 77; }
"$@"
