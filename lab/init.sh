#!/bin/busybox sh
# The boot of a machine of the lab, under busybox's init: what a distribution's boot sets up, small.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /mnt /root /var/lib /usr/bin /usr/sbin /sbin
/bin/busybox --install -s
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /dev/hugepages
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t hugetlbfs hugetlbfs /dev/hugepages
hostname -F /etc/hostname

# See the kernel's command line in qemu.py.
for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do echo 1 >"$cpu"; done

while read -r module; do insmod "$module"; done </lib/modules/order

# What is written to /etc and /var outlives the machine's power, on the disk with this serial number.
for disk in /sys/block/vd*; do
  [ "$(cat "$disk/serial")" = state ] && mount -t ext4 "/dev/${disk##*/}" /mnt
done
for folder in etc var; do
  [ -d "/mnt/$folder" ] || { cp -a "/$folder" "/mnt/new" && sync && mv /mnt/new "/mnt/$folder"; }
  mount --bind "/mnt/$folder" "/$folder"
done
sync

for file in /etc/sysctl.d/*.conf; do
  [ -e "$file" ] && sysctl -q -p "$file"
done

ip link set lo up
for nic in /sys/class/net/*; do
  [ "$(cat "$nic/address")" = 52:54:00:00:00:00 ] && ip address add 10.0.2.15/24 dev "${nic##*/}"
  ip link set "${nic##*/}" up
done

key=/etc/dropbear/key
[ -e $key ] || { mkdir -p /etc/dropbear && dropbearkey -t ed25519 -f $key >/dev/null 2>&1 && sync; }
echo "lab: $(dropbearkey -y -f $key | grep '^ssh-ed25519 ')"
