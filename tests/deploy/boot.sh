#!/bin/bash
# boot.sh ROOT: systemd as the first process of namespaces of its own (mounts,
# processes, network, cgroups) in the Debian at ROOT. It ends with this process.
# As root, on a kernel with cgroup 2.
set -euo pipefail
root=$1
cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/prefd-boot-$$

mkdir "$cgroup"
echo $$ >"$cgroup/cgroup.procs"
exec unshare --mount --pid --ipc --uts --cgroup --net --fork --kill-child bash -euc '
mount --make-rprivate /
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
for device in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"
done
mknod -m 666 dev/tty c 5 0
mknod -m 600 dev/console c 5 1
mkdir dev/shm dev/pts dev/mqueue dev/hugepages
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ip link set lo up
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=journal --show-status=no
' "$root"
