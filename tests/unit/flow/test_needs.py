"""What the data plane needs of a kernel: no more than 5.15 has, and said where it is missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.bpf import build
from virtboost.flow.dataplane import DataPlane, NotLoaded

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
        f"local: {hook}: Linux {os.uname().release} has no helper 9999 of bpf-helpers(7);"
        " it takes 5.15 or later"
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


ATOMIC, ADD = 0xC0, 0
"""BPF_ATOMIC, the mode of an instruction of the class BPF_STX (3), and its operation BPF_ADD."""


@pytest.mark.parametrize("hook", HOOKS)
def test_no_atomic_operation_but_addition(objects: Path, tmp_path: Path, hook: str) -> None:
    """The JIT of aarch64 knows others from 5.18 on: 1902472b4fa9 ("bpf, arm64: Support more
    atomic operations"); and a kernel that must compile refuses what it cannot."""
    code = tmp_path / "code"
    dumped = ("llvm-objcopy", f"--dump-section={hook}={code}", f"{objects}/{hook}.bpf.o")
    subprocess.run((*dumped, str(tmp_path / "copy")), check=True)
    content = code.read_bytes()
    atomic = [
        int.from_bytes(content[at + 4 : at + 8], "little")
        for at in range(0, len(content), 8)
        if content[at] & 0xE7 == ATOMIC | 3
    ]
    assert set(atomic) == {ADD}
