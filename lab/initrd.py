"""What a machine of the lab boots: a few programs, modules of the kernel, and an SSH server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from lab.acpi import pptt, srat
from lab.archive import Archive
from lab.machine import Machine
from lab.packages import kernel_release

MODULES = (
    *("virtio_pci", "virtio_net", "virtio_blk", "virtio_console"),
    *("nvme", "ext4", "crc32c_generic"),
)
"""With those that they need; everything else is in Debian's kernel, or not needed."""

PROGRAMS = (
    *("bin/busybox", "usr/sbin/dropbear", "usr/bin/dropbearkey", "sbin/ethtool"),
    "usr/sbin/qemu-ga",
    *("usr/bin/lscpu", "usr/bin/lspci", "usr/bin/lstopo-no-graphics", "usr/bin/numactl"),
)

_LIBRARIES = ("lib", "usr/lib", "lib64")
_NO_LIBRARIES = frozenset(("gconv", "perl", "perl5", "perl-base"))
"""Folders whose shared objects only programs want that no machine has."""

SWITCH_MODULES = (
    *("openvswitch", "vport_vxlan", "nf_conntrack_netlink", "xfrm_user"),
    *("veth", "sch_ingress", "cls_bpf"),
)

SWITCH_PROGRAMS = (
    *("usr/sbin/ovsdb-server", "usr/lib/openvswitch-switch/ovs-vswitchd"),
    *("usr/bin/ovs-vsctl", "usr/bin/ovs-ofctl", "usr/bin/ovs-appctl", "usr/bin/ovsdb-tool"),
    *("usr/share/openvswitch/vswitch.ovsschema", "bin/ip", "sbin/tc", "usr/bin/python3.11"),
    "usr/bin/setpriv",
)

PYTHON = "usr/lib/python3.11"
"""Folder of its standard library."""

INITTAB = """\
::sysinit:/etc/init.d/rcS
::respawn:/usr/sbin/dropbear -F -E -s -r /etc/dropbear/key
::ctrlaltdel:/bin/busybox poweroff
::shutdown:/bin/busybox umount -a -r
"""

TEXTS = {
    "etc/inittab": INITTAB,
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/shells": "/bin/sh\n",
    "etc/sysctl.d/README": "",
    "etc/tmpfiles.d/README": "",
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
}


def initrd(machine: Machine, root: Path, public_key: str) -> bytes:
    """Return the initrd of a machine from unpacked packages.

    Args:
        machine: Which.
        root: Folder of the packages of its architecture.
        public_key: Who may log in as root, as a line of ``authorized_keys``.
    """
    archive = Archive()
    archive.file("init", b"#!/bin/busybox sh\nexec /bin/busybox init\n", 0o755)
    archive.link("sbin/init", "/bin/busybox")
    archive.link("bin/sh", "busybox")
    archive.file("etc/init.d/rcS", Path(__file__).with_name("init.sh").read_bytes(), 0o755)
    for path, text in TEXTS.items():
        archive.file(path, text.encode())
    archive.file("etc/hostname", f"{machine.name}\n".encode())
    archive.folder("root", 0o700)
    archive.folder("root/.ssh", 0o700)
    archive.file("root/.ssh/authorized_keys", f"{public_key}\n".encode(), 0o600)
    archive.folder("var/lib")
    for program in (*PROGRAMS, *(_switch(root) if machine.switch else ())):
        archive.copy(program, root / program)
    for library in _libraries(root):
        archive.copy(str(library.relative_to(root)), library)
    modules = list(_modules(root, (*MODULES, *(SWITCH_MODULES if machine.switch else ()))))
    for module in modules:
        archive.copy(module, root / module)
    archive.file("lib/modules/order", "".join(f"/{module}\n" for module in modules).encode())
    return tables(machine) + archive.content()


def tables(machine: Machine) -> bytes:
    """Return the archive of ACPI tables that comes before all; empty where QEMU's are right."""
    if machine.arch != "aarch64":
        return b""
    archive = Archive()
    archive.file("kernel/firmware/acpi/srat.aml", srat(machine))
    archive.file("kernel/firmware/acpi/pptt.aml", pptt(machine))
    content = archive.content()
    return content + b"\0" * (-len(content) % 512)


def _libraries(root: Path) -> Iterator[Path]:
    """Yield the shared libraries, and the loader, of the programs."""
    for folder in _LIBRARIES:
        for path in sorted((root / folder).rglob("*.so*")):
            if not _NO_LIBRARIES.intersection(path.parts) and not path.is_dir():
                yield path


def _switch(root: Path) -> Iterator[str]:
    """Yield the files of Open vSwitch and of Python."""
    yield from SWITCH_PROGRAMS
    for path in sorted((root / PYTHON).rglob("*.py")):
        yield str(path.relative_to(root))


def _modules(root: Path, wanted: Iterable[str]) -> Iterator[str]:
    """Yield the files of the modules, each after those that it needs."""
    folder = f"lib/modules/{kernel_release(root)}"
    lines = (root / folder / "modules.dep").read_text().splitlines()
    needs = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    files = {Path(name).name.partition(".")[0].replace("-", "_"): name for name in needs}
    done: dict[str, None] = {}
    for module in wanted:
        file = files.get(module)
        if file is not None:  # others are built in
            done.update(dict.fromkeys([*reversed(needs[file]), file]))
    yield from (f"{folder}/{name}" for name in done)
