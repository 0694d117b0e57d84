"""What the data plane needs of a kernel: no more than 5.10 has, and said where it is missing."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from support.bpf import LOOPBACK, build, sent
from virtboost.flow.abi import DROP, Entry, Key
from virtboost.flow.dataplane import DataPlane, NotLoaded, libbpf

HOOKS = ["xdp", "tc"]

CALL_OF_THE_CLOCK = b"\x85\0\0\0\xa0\0\0\0"
"""bpf_ktime_get_coarse_ns: BPF_CALL 160."""


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bpf")
    build(folder)
    return folder


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.needs_root
def test_what_is_missing_is_one_line(objects: Path, tmp_path: Path, hook: str) -> None:
    """The clock's call becomes one of a helper that no kernel has."""
    content = (objects / f"{hook}.bpf.o").read_bytes()
    assert CALL_OF_THE_CLOCK in content
    future = content.replace(CALL_OF_THE_CLOCK, b"\x85\0\0\0" + (9999).to_bytes(4, "little"))
    (tmp_path / f"{hook}.bpf.o").write_bytes(future)
    with pytest.raises(NotLoaded) as refused:
        DataPlane(hook, size=1, objects=tmp_path)
    assert str(refused.value) == (
        f"local: {hook}: Linux {os.uname().release} refused it: has no helper 9999 of"
        " bpf-helpers(7); it takes 5.10 or later"
    )


def refused_without_root(objects: Path) -> str:
    """Return what a process is told that is nobody's."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        os.setresuid(65534, 65534, 65534)
        try:
            DataPlane("tc", size=1, objects=objects)
        except NotLoaded as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(process, 0)
    with os.fdopen(read) as told:
        return told.read()


@pytest.mark.needs_root
def test_without_root_is_one_line() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        folder.chmod(0o755)
        assert refused_without_root(folder) == "local: tc: it takes root to load it"


def section(file: Path, name: str, folder: Path) -> bytes:
    """Return a section of an object."""
    found = folder / "section"
    dumped = ("llvm-objcopy", f"--dump-section={name}={found}", str(file))
    subprocess.run((*dumped, str(folder / "copy")), check=True)
    return found.read_bytes()


@pytest.mark.parametrize("hook", HOOKS)
def test_no_btf_of_the_kernel(objects: Path, tmp_path: Path, hook: str) -> None:
    """No relocation against its types: core_relo_len of ``struct btf_ext_header`` is 0."""
    header = section(objects / f"{hook}.bpf.o", ".BTF.ext", tmp_path)[:32]
    assert int.from_bytes(header[:2], "little") == 0xEB9F
    assert header[28:32] == bytes(4)


ATOMIC, ADD = 0xC0, 0
"""BPF_ATOMIC, the mode of an instruction of the class BPF_STX (3), and its operation BPF_ADD."""


@pytest.mark.parametrize("hook", HOOKS)
def test_no_atomic_operation_but_addition(objects: Path, tmp_path: Path, hook: str) -> None:
    """The JIT of aarch64 knows others from 5.18 on: 1902472b4fa9 ("bpf, arm64: Support more
    atomic operations"); and a kernel that must compile refuses what it cannot."""
    content = section(objects / f"{hook}.bpf.o", hook, tmp_path)
    atomic = [
        int.from_bytes(content[at + 4 : at + 8], "little")
        for at in range(0, len(content), 8)
        if content[at] & 0xE7 == ATOMIC | 3
    ]
    assert set(atomic) == {ADD}


FRAME = bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"data")

LEASE_IS_OVER = 12


def key() -> Key:
    """Return that of ``FRAME``."""
    made = Key(port=LOOPBACK.ifindex, source_port=1, destination_port=2, protocol=17)
    made.eth_type = 0x0800
    made.source[:4], made.destination[:4] = b"\x0a\0\0\1", b"\x0a\0\0\2"
    return made


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.needs_root
def test_a_kernel_without_the_coarse_clock(
    objects: Path, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 5.10: the program asks the other clock, and leases end as before."""
    library, codes = libbpf(), list[bytes]()
    given = library.bpf_program__set_insns

    def seen(program: ctypes.c_void_p, code: bytes, count: ctypes.c_size_t) -> None:
        codes.append(code)
        given(program, code, count)

    monkeypatch.setattr(library, "bpf_program__set_insns", seen)
    monkeypatch.setattr(library, "libbpf_probe_bpf_helper", lambda kind, helper, _: helper != 160)
    monkeypatch.setattr("virtboost.flow.dataplane.libbpf", lambda: library)
    verdicts = []
    with DataPlane(hook, size=1, objects=objects) as loaded:
        loaded.control(epoch=0)
        for lease_s in (60, -1):
            end_ns = time.monotonic_ns() + lease_s * 10**9
            loaded.install(key(), Entry(lease_ns=end_ns, mtu=1500, changes=DROP))
            verdicts.append(sent(loaded, hook, FRAME).verdict)
        assert (verdicts, dict(loaded.passes())) == (["drop", "pass"], {LEASE_IS_OVER: 1})
        (code,) = codes
        assert (code.count(CALL_OF_THE_CLOCK), code.count(b"\x85\0\0\0\5\0\0\0")) == (0, 1)
        assert abs(loaded.state(0).used_ns - time.monotonic_ns()) < 10**10
