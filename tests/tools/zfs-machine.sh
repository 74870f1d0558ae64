#!/usr/bin/env bash
# zfs-machine.sh VERSION [CMD...] - run CMD as root beside real OpenZFS, in a small machine that qemu emulates: a kernel
# that loads modules and /dev/kvm are not needed. VERSION is 2.1 (Debian 12's own) or 2.3 (its backports). For root on
# Debian 12; everything comes from the Debian mirror that this machine uses.
#
# CMD runs in this folder. It sees the checkout and the Python of its .venv at their paths, read-only, and the disk of this
# machine at /host. It can write everywhere else; that is lost when it ends. There is no network but loopback. What it
# prints comes as it is printed, both streams on stdout; its exit code is that of this script.
#
#   DSVC_TEST_CACHE   where the machine is kept, once it is made (8 minutes on two cores, 2.5 GB meanwhile, 1 GB then);
#                     ~/.cache/dsvc-tests if not set. Without CMD it is made and nothing else.
#   MACHINE_MEMORY    MiB, 4096 if not set; half of it is for /tmp
#   MACHINE_DISK      size of an empty disk, whose partition /dev/vdb1 is for pools that do not fit there; 1G if not set
set -euo pipefail
version=${1:-}
[ $# -eq 0 ] || shift
case $version in
    2.1) suite=bookworm ;;
    2.3) suite=bookworm-backports ;;
    *) sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2 ;;
esac
export PATH=$PATH:/usr/sbin:/sbin DEBIAN_FRONTEND=noninteractive LC_ALL=C
checkout=$(cd "$(dirname "$0")/../.." && pwd)
cache=${DSVC_TEST_CACHE:-$HOME/.cache/dsvc-tests}
made=$cache/openzfs-$version
say() { printf '[OpenZFS %s] %s\n' "$version" "$*" >&2; }
fail() { say "$*"; exit 70; }

# ---- Made once

tools() {
    local package missing=()
    for package in qemu-system-x86 debootstrap e2fsprogs cpio kmod zstd busybox-static ca-certificates python3; do
        dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${missing[*]}"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Give a root folder the places that this machine gets its own packages from.
sources() {
    local root=$1 theirs=$1/etc/apt/sources.list.d
    mkdir -p "$theirs"
    : >"$root/etc/apt/sources.list"
    sed 's/^Components:.*/Components: main contrib/' "$debian" >"$theirs/debian.sources"
    [ "$suite" = bookworm ] || awk 'BEGIN {RS = ""} NR == 1' "$debian" |
        sed "s/^Suites:.*/Suites: $suite/; s/^Components:.*/Components: main contrib/" >"$theirs/backports.sources"
    for file in resolv.conf hosts; do cp -L "/etc/$file" "$root/etc/$file" || :; done
    printf 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n' >"$root/etc/apt/apt.conf.d/90machine"
    printf 'force-unsafe-io\n' >"$root/etc/dpkg/dpkg.cfg.d/90machine"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
}

inside() {
    local root=$1
    shift
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}

# Compiled beside the headers of Debian's kernel, from the source that the package for dkms carries.
modules() {
    apt-get update -qq
    apt-get install -y -qq gcc make libc6-dev perl file kmod linux-headers-amd64
    local kernel
    kernel=$(cd /usr/src && printf '%s\n' linux-headers-*-amd64 | sort -V | tail -n 1)
    kernel=${kernel#linux-headers-}
    mkdir -p /made/modules
    cd /made
    apt-get download -qq "zfs-dkms/$suite" "linux-image-$kernel"
    dpkg -x zfs-dkms_*.deb source
    dpkg -x linux-image-*.deb kernel
    cd source/usr/src/zfs-*
    ./configure --quiet --with-config=kernel --with-linux="/usr/src/linux-headers-${kernel%-amd64}-common" \
        --with-linux-obj="/usr/src/linux-headers-$kernel"
    make -s -j"$(nproc)"
    find module -name '*.ko' -exec cp -t /made/modules {} +
    strip --strip-debug /made/modules/*.ko
    printf '%s\n' "$kernel" >/made/name
}

make_machine() {
    debian=/etc/apt/sources.list.d/debian.sources
    [ -f "$debian" ] || fail "there is no $debian, which says where Debian's packages are"
    tools
    local work=$made.new started=$SECONDS
    local root=$work/root build=$work/build
    rm -rf "$work"
    mkdir -p "$work"
    say "making the machine, once; what is done stands in $work/log"
    exec 3>>"$work/log"

    say 'the root'
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" \
        "$(awk '/^URIs:/ {print $2; exit}' "$debian")" >&3 2>&3 || fail "it failed: $work/log"
    sources "$root"

    say 'the modules, which is most of the time'
    cp -a "$root" "$build"  # in a copy, so that no compiler is in the machine
    { printf 'set -e\nsuite=%q\n' "$suite"; declare -f modules; printf 'modules\n'; } >"$build/make.sh"
    inside "$build" bash /make.sh >&3 2>&3 || fail "they were not made: $work/log"
    local kernel
    kernel=$(cat "$build/made/name")

    say 'the programs'
    inside "$root" bash -ec "apt-get update -qq
        apt-get install -y -qq kmod iproute2 procps util-linux sudo git openssh-client openssh-server python3
        apt-get install -y -qq -t $suite zfsutils-linux
        useradd --create-home --shell /bin/bash ada
        printf 'ada ALL=(root) NOPASSWD: /usr/sbin/zfs\n' >/etc/sudoers.d/ada
        apt-get clean
        rm -rf /var/lib/apt/lists/* /usr/share/doc /usr/share/locale /usr/share/man" >&3 2>&3 || fail "see $work/log"

    local here=$root/lib/modules/$kernel theirs=$build/made/kernel/lib/modules/$kernel folder
    mkdir -p "$here/extra"
    cp "$build"/made/modules/*.ko "$here/extra/"
    cp "$theirs"/modules.builtin* "$theirs/modules.order" "$here/"
    for folder in arch/x86/crypto crypto lib fs net/9p net/core drivers/virtio drivers/block drivers/char/hw_random; do
        [ -e "$theirs/kernel/$folder" ] || continue
        mkdir -p "$here/kernel/$(dirname "$folder")"
        cp -a "$theirs/kernel/$folder" "$here/kernel/$folder"
    done
    depmod -b "$root" "$kernel" 2>&3
    plain_kernel "$build/made/kernel/boot/vmlinuz-$kernel" "$work/kernel"

    say 'the disk'
    first_process "$root"
    first_disk "$root" "$kernel" "$work/first.img"
    local kilobytes
    kilobytes=$(du -sk "$root" | cut -f 1)
    truncate -s $((kilobytes / 1024 * 5 / 4 + 512))M "$work/root.img"
    mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -d "$root" "$work/root.img" >&3 2>&3
    printf 'OpenZFS %s, Linux %s\n' "$(modinfo -F version "$here/extra/zfs.ko")" "$kernel" >"$work/version"
    exec 3>&-
    rm -rf "$root" "$build" "$work/first" "$made"
    mv "$work" "$made"
    say "made in $((SECONDS - started)) s: $(cat "$made/version")"
}

# Unpacked now: to do that in the emulated machine takes seconds at each start.
plain_kernel() {
    python3 - "$1" "$2" <<'END'
import lzma
import struct
import subprocess
import sys

image = open(sys.argv[1], "rb").read()
start, size = struct.unpack_from("<II", image, 0x248)  # payload_offset, payload_length of Linux's boot protocol
packed = image[(image[0x1F1] + 1) * 512 + start :][:size]
if packed.startswith(b"\xfd7zXZ\0"):
    kernel = lzma.LZMADecompressor().decompress(packed)
elif packed.startswith(b"\x28\xb5\x2f\xfd"):
    kernel = subprocess.run(["zstd", "-dcq"], input=packed[:-4], stdout=subprocess.PIPE).stdout
else:
    kernel = b""
open(sys.argv[2], "wb").write(kernel if kernel.startswith(b"\x7fELF") else image)
END
}

# The first process of the machine: no udev, no systemd.
first_process() {
    local root=$1
    mkdir -p "$root/host" "$root/given"
    printf 'machine\n' >"$root/etc/hostname"
    printf '127.0.0.1 localhost machine\n' >"$root/etc/hosts"
    printf '\1\0\0\0' >"$root/etc/hostid"
    ln -sf /proc/self/mounts "$root/etc/mtab"
    cat >"$root/sbin/machine-init" <<'END'
#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mountpoint -q /proc || mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,gid=5 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777,size=50% tmp /tmp
modprobe zfs zfs_arc_max=402653184 &
ln -sfn /proc/self/fd /dev/fd
mkdir -p /run/lock /run/sshd
chmod 755 /root
hostname machine
ip link set lo up
options=trans=virtio,version=9p2000.L,msize=524288
mount -t 9p -o $options,cache=none given /given
mount -t 9p -o $options,ro,cache=loose host /host
while read -r folder; do
    mkdir -p "$folder"
    mount --bind "/host$folder" "$folder"
done </given/folders
wait
chmod 666 /dev/zfs  # as udev's rule does
bash /given/command
echo $? >/given/code
sync
echo o >/proc/sysrq-trigger
sleep 60
END
    chmod 755 "$root/sbin/machine-init"
}

# A file system in memory with what leads to the root.
first_disk() {
    local root=$1 kernel=$2 first=$made.new/first module
    mkdir -p "$first"/{bin,proc,dev,new,modules}
    cp "$(command -v busybox)" "$first/bin/busybox"
    for module in virtio_pci virtio_blk ext4 9p 9pnet_virtio; do
        modprobe -d "$root" -S "$kernel" --show-depends "$module" 2>&3
    done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r module; do
        cp "$module" "$first/modules/"
        basename "$module" >>"$first/order"
    done
    cat >"$first/init" <<'END'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/modules/$module"; done </order
n=0
while [ ! -b /dev/vda ] && [ $n -lt 500 ]; do $b usleep 20000; n=$((n + 1)); done
$b mount -t ext4 -o noatime /dev/vda /new || exec $b sh
$b mount --move /dev /new/dev
$b mount --move /proc /new/proc
exec $b switch_root /new /sbin/machine-init
END
    chmod 755 "$first/init"
    (cd "$first" && find . | cpio -o -H newc --quiet) | zstd -q -3 >"$3"
}

[ "$(id -u)" = 0 ] || fail 'the machine is made and run by root'
if [ ! -f "$made/version" ]; then
    mkdir -p "$cache"
    exec 4>"$made.lock"
    flock 4  # two that start at once make it once
    [ -f "$made/version" ] || make_machine 4>&-
    exec 4>&-
fi
[ $# -gt 0 ] || exit 0

# ---- Run

given=$(mktemp -d "${TMPDIR:-/tmp}/dsvc-machine.XXXXXX")
machine=
finish() {
    if [ -n "$machine" ]; then kill "$machine" 2>/dev/null && wait "$machine" || :; fi
    rm -rf "$given"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
{
    printf '%s\n' "$checkout"
    python=$checkout/.venv/bin/python
    # That of Debian is in the machine itself.
    [ ! -x "$python" ] || "$python" -c 'import sys; print(sys.base_prefix)' | grep -vx '/usr' || :
} >"$given/folders"
{
    printf 'stty -onlcr -echo 2>/dev/null\n'
    printf 'cd %q || exit 70\n' "$PWD"
    printf 'export DSVC_TEST_OPENZFS=%q PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8\n' "$version"
    printf '%q ' "$@"
    printf '\n'
} >"$given/command"
# One partition: `zpool create` on a whole disk waits for udev.
python3 - "$given/disk" "$(numfmt --from=iec "${MACHINE_DISK:-1G}")" <<'END'
import struct
import sys

sectors = int(sys.argv[2]) // 512
with open(sys.argv[1], "wb") as disk:
    disk.truncate(sectors * 512)
    disk.seek(446)
    disk.write(struct.pack("<4xB3xII", 0x83, 2048, sectors - 2048) + bytes(48) + b"\x55\xaa")
END
# The clock is that of ACPI: how fast the other one runs is measured at the start, and wrongly on a busy machine.
qemu-system-x86_64 -name dsvc-openzfs -machine q35,vmport=off,hpet=off,graphics=off -accel tcg,thread=multi,tb-size=512 \
    -cpu Nehalem -smp 2 -m "${MACHINE_MEMORY:-4096}" -display none -nodefaults -no-user-config -no-reboot \
    -rtc base=utc,clock=host -device virtio-rng-pci -net none -kernel "$made/kernel" -initrd "$made/first.img" \
    -append 'console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr tsc=unstable clocksource=acpi_pm no_timer_check audit=0' \
    -drive "file=$made/root.img,format=raw,if=virtio,snapshot=on,cache=unsafe" \
    -drive "file=$given/disk,format=raw,if=virtio,cache=unsafe,discard=unmap" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
    -virtfs "local,path=$given,mount_tag=given,security_model=none,multidevs=remap" \
    -serial stdio -monitor none </dev/null &
machine=$!
wait "$machine" || :
machine=
[ -s "$given/code" ] || fail 'the machine ended before the command did'
exit "$(cat "$given/code")"
