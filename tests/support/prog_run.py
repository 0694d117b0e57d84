"""BPF_PROG_TEST_RUN: a frame in, a frame out.  The standard library alone: it runs in guests too."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import NamedTuple

from virtboost.flow.dataplane import DataPlane, libbpf

ACTIONS = {
    "xdp": {1: "drop", 2: "pass", 4: "redirect"},
    "tc": {2: "drop", 0xFFFFFFFF: "pass", 7: "redirect"},
}
"""Numbers of ``enum xdp_action`` and TC_ACT_* of the kernel."""


class Left(NamedTuple):
    """What becomes of a frame."""

    verdict: str
    frame: bytes
    duration_ns: int


class _Options(ctypes.Structure):
    """``struct bpf_test_run_opts`` of libbpf."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_char_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


GSO_SIZE = 176
"""Offset in ``struct __sk_buff`` of linux/bpf.h, whose size is 192."""


def sent(plane: DataPlane, hook: str, frame: bytes, *, repeat: int = 1, gso_size: int = 0) -> Left:
    """Run the program on a frame; in TC it may stand for segments of so many bytes each."""
    context = struct.pack("I", gso_size).rjust(GSO_SIZE + 4, b"\0").ljust(192, b"\0")
    out = ctypes.create_string_buffer(4096)
    options = _Options(
        sz=ctypes.sizeof(_Options),
        data_in=frame,
        data_size_in=len(frame),
        data_out=ctypes.cast(out, ctypes.c_void_p),
        data_size_out=len(out),
        repeat=repeat,
    )
    if gso_size:
        options.ctx_in = ctypes.cast(ctypes.c_char_p(context), ctypes.c_void_p)
        options.ctx_size_in = len(context)
    status = libbpf().bpf_prog_test_run_opts(plane.program, ctypes.byref(options))
    assert status == 0, f"BPF_PROG_TEST_RUN: {os.strerror(-status)}"
    verdict = ACTIONS[hook][options.retval]
    return Left(verdict, out.raw[: options.data_size_out], options.duration)
