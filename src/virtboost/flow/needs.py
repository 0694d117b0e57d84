"""What the kernel must have for the data plane: what its objects use, asked of it one by one."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

LEAST = "5.10"
"""The oldest Linux that the data plane was run on."""

COARSE_CLOCK, CLOCK = 160, 5
"""Helpers bpf_ktime_get_coarse_ns, which came with 5.11 (docs.ebpf.io), and bpf_ktime_get_ns."""

_COARSE = COARSE_CLOCK.to_bytes(4, "little")

PROGRAMS = {3: "TC", 6: "XDP"}
"""Types of ``enum bpf_prog_type``."""

INSTRUCTION, CALL = 8, 0x85
"""Bytes of one, and the code of BPF_JMP | BPF_CALL."""


def lacking(library: ctypes.CDLL, opened: ctypes.c_void_p) -> Iterator[str]:
    """Yield what the kernel does not have of what an object uses.

    Args:
        library: libbpf.
        opened: ``struct bpf_object *``.
    """
    for name in ("next_map", "next_program"):
        getattr(library, f"bpf_object__{name}").restype = ctypes.c_void_p
    for each in _each(library.bpf_object__next_map, opened):
        kind = library.bpf_map__type(each)
        if library.libbpf_probe_bpf_map_type(kind, None) != 1:
            yield f"maps of type {kind}"
    for each in _each(library.bpf_object__next_program, opened):
        kind = library.bpf_program__type(each)
        if library.libbpf_probe_bpf_prog_type(kind, None) != 1:
            yield f"programs of {PROGRAMS[kind]}"
            continue
        for helper in sorted(_helpers(library, each)):
            if library.libbpf_probe_bpf_helper(kind, helper, None) != 1:
                yield f"helper {helper} of bpf-helpers(7)"


def _each(
    following: Callable[[ctypes.c_void_p, ctypes.c_void_p | None], int | None],
    opened: ctypes.c_void_p,
) -> Iterator[ctypes.c_void_p]:
    found = following(opened, None)
    while found:
        yield ctypes.c_void_p(found)
        found = following(opened, ctypes.c_void_p(found))


def _helpers(library: ctypes.CDLL, program: ctypes.c_void_p) -> set[int]:
    """Return the numbers of the helpers that a program calls."""
    calls = (one for one in _instructions(library, program) if _is_call(one))
    return {int.from_bytes(one[4:], "little") for one in calls}


def with_a_clock(library: ctypes.CDLL, program: ctypes.c_void_p) -> None:
    """Make a program ask the dearer clock where the kernel has no other: the same time, finer."""
    kind = library.bpf_program__type(program)
    if library.libbpf_probe_bpf_helper(kind, COARSE_CLOCK, None) == 1:
        return
    code = _instructions(library, program)
    number = CLOCK.to_bytes(4, "little")
    older = [one[:4] + number if one[4:] == _COARSE and _is_call(one) else one for one in code]
    library.bpf_program__set_insns(program, b"".join(older), ctypes.c_size_t(len(older)))


def _is_call(instruction: bytes) -> bool:
    """Tell whether an instruction calls a helper, and not a function of its own."""
    return instruction[0] == CALL and instruction[1] >> 4 == 0


def _instructions(library: ctypes.CDLL, program: ctypes.c_void_p) -> list[bytes]:
    library.bpf_program__insns.restype = ctypes.c_void_p
    library.bpf_program__insn_cnt.restype = ctypes.c_size_t
    size = library.bpf_program__insn_cnt(program) * INSTRUCTION
    code = ctypes.string_at(library.bpf_program__insns(program), size)
    return [code[at : at + INSTRUCTION] for at in range(0, size, INSTRUCTION)]
