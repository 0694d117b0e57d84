"""The layout that C and Python share, the objects as they are built, and what is said without them."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.bpf import ROOT, build, plane
from support.daemon import need
from virtboost.errors import InputError
from virtboost.flow import abi
from virtboost.flow.dataplane import DataPlane, NotLoaded

STRUCTURES = {
    "flow_key": abi.Key, "flow_headers": abi.Headers, "flow_entry": abi.Entry,
    "flow_control": abi.Control, "flow_state": abi.State, "flow_candidate": abi.Candidate,
}  # fmt: skip

NUMBERS = {
    "FLOW_TUNNELLED": abi.TUNNELLED, "FLOW_TAGGED": abi.TAGGED, "FLOW_VXLAN_PORT": abi.VXLAN_PORT,
    "FLOW_POP_TAG": abi.POP_TAG, "FLOW_PUSH_TAG": abi.PUSH_TAG,
    "FLOW_DROP": abi.DROP, "FLOW_OBSERVE": abi.OBSERVE, "FLOW_MISS_ENDED": abi.MISS_ENDED, "FLOW_PUSH_MAX": abi.PUSH_MAX, "FLOW_PASS_COUNT": len(abi.PASSES) + 1,
}  # fmt: skip


def told(folder: Path, lines: Sequence[str], include: str) -> list[str]:
    """Return what the compiler says of expressions."""
    need("gcc")
    source = folder / "told.c"
    prints = "".join(f'printf("%lu\\n", (unsigned long)({line}));' for line in lines)
    source.write_text(
        f'#include <stdio.h>\n#include <stddef.h>\n#include "{include}"\nint main(void){{{prints}}}'
    )
    subprocess.run(("gcc", "-o", folder / "told", source), check=True)
    return subprocess.run(
        (folder / "told",), capture_output=True, text=True, check=True
    ).stdout.split()


def test_structures_are_the_compilers(tmp_path: Path) -> None:
    """Every member lies where C has it, and the members fill the whole: none is only in C."""
    asked, ours = [], []
    for name, kind in STRUCTURES.items():
        at = 0
        for member in (each[0] for each in kind._fields_):
            place = getattr(kind, member)
            assert place.offset == at
            at += place.size
            asked += [
                f"offsetof(struct {name}, {member})",
                f"sizeof(((struct {name} *)0)->{member})",
            ]
            ours += [place.offset, place.size]
        assert ctypes.sizeof(kind) == at
        asked.append(f"sizeof(struct {name})")
        ours.append(at)
    header = str(ROOT / "src/virtboost/flow/bpf/abi.h")
    assert told(tmp_path, asked, header) == [str(number) for number in ours]


def test_numbers_are_the_headers(tmp_path: Path) -> None:
    header = str(ROOT / "src/virtboost/flow/bpf/abi.h")
    assert told(tmp_path, list(NUMBERS), header) == [str(number) for number in NUMBERS.values()]
    assert sorted(abi.PASSES) == list(range(1, len(abi.PASSES) + 1))


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.needs_root
def test_the_kernel_takes_every_object_as_it_ships(hook: str, tmp_path: Path) -> None:
    build(tmp_path)
    with plane(hook, tmp_path) as made:
        assert made.program > 0


@pytest.mark.parametrize("name", ["xdp.bpf.o", "tc.bpf.o"])
def test_objects_are_the_same_for_aarch64(tmp_path: Path, name: str) -> None:
    """Compiled with that architecture's headers, the program is byte for byte the same."""
    headers = Path("/usr/aarch64-linux-gnu/include")
    if not headers.is_dir():
        pytest.skip("not installed: linux-libc-dev-arm64-cross")
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, words in (
        (here, ()),
        (there, (f"BPF_HEADERS={headers}", "BPF_DEFINES=-D__aarch64__ -U__x86_64__")),
    ):
        folder.mkdir()
        build(folder, *words)
    section = name.partition(".")[0]
    codes = []
    for folder in (here, there):
        code = folder / "code"
        subprocess.run(
            ("llvm-objcopy", f"--dump-section={section}={code}", folder / name, folder / "copy"),
            check=True,
        )
        codes.append(code.read_bytes())
    assert len(codes[0]) > 1000
    assert codes[0] == codes[1]


def test_an_object_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make bpf"):
        DataPlane("xdp", size=1, objects=tmp_path)


def test_no_libbpf_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("virtboost.flow.dataplane.LIBRARY", "libbpf.so.0.none")
    (tmp_path / "xdp.bpf.o").touch()
    with pytest.raises(InputError, match=r"is missing.*libbpf 1\.0"):
        DataPlane("xdp", size=1, objects=tmp_path)


def test_a_file_that_is_no_object_is_said(tmp_path: Path) -> None:
    (tmp_path / "xdp.bpf.o").write_bytes(b"no ELF")
    with pytest.raises(NotLoaded, match="cannot read"):
        DataPlane("xdp", size=1, objects=tmp_path)
