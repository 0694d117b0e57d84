"""TC programs in front of devices without links, as below Linux 6.6: filters of clsact.

A filter outlives its process.  So entries end with their leases, and a program that nobody renews
passes everything; a name of the device that dies with its owner tells a filter that was left from
one that is in use; and the next start removes what was left.  The filter comes behind those of
others: what they drop, count or take stays theirs.  Nothing of theirs is removed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from contextlib import suppress
from typing import ClassVar

INGRESS, EGRESS = 1, 2
"""``enum bpf_tc_attach_point`` of libbpf."""

PARENTS = {INGRESS: 0xFFFFFFF2, EGRESS: 0xFFFFFFF3}
"""TC_H_CLSACT with TC_H_MIN_INGRESS, and with TC_H_MIN_EGRESS."""

PRIORITY = 0xFFFF
"""The last one."""

FOUND, MADE = 0x76620000, 0x76620001
"""Handles of the filter: clsact was there before, or was made for it."""

NAME = b"flow_tc"
"""Of the program."""

RTM_NEWTFILTER, RTM_GETTFILTER, NLM_F_REQUEST_DUMP = 44, 46, 0x301

NAME_AT, INFO_SIZE = 64, 80
"""Where ``struct bpf_prog_info`` has its 16 bytes of name, and where they end."""


class _Hook(ctypes.Structure):
    """``struct bpf_tc_hook``."""

    _fields_: ClassVar = [
        ("sz", ctypes.c_size_t),
        ("ifindex", ctypes.c_int),
        ("attach_point", ctypes.c_int),
        ("parent", ctypes.c_uint32),
        ("end", ctypes.c_size_t * 0),
    ]


class _Options(ctypes.Structure):
    """``struct bpf_tc_opts``."""

    _fields_: ClassVar = [
        ("sz", ctypes.c_size_t),
        ("prog_fd", ctypes.c_int),
        ("flags", ctypes.c_uint32),
        ("prog_id", ctypes.c_uint32),
        ("handle", ctypes.c_uint32),
        ("priority", ctypes.c_uint32),
        ("end", ctypes.c_size_t * 0),
    ]


class Filter:
    """A program at the ingress of a device, until this is closed."""

    def __init__(self, library: ctypes.CDLL, program: int, ifindex: int) -> None:
        """Attach it, in place of one that a process left which is no more.

        Args:
            library: libbpf.
            program: Descriptor.
            ifindex: Of the device.

        Raises:
            OSError: Another process has the device, there is none, or the kernel has no clsact.
        """
        self._device = _Device(library, ifindex)
        made = False
        try:
            made = self._device.make() or self._device.remove_left()
            self._handle = MADE if made else FOUND
            self._id = self._device.attach(self._handle, program)
        except OSError:
            self._device.leave(made=made)
            raise

    def close(self) -> None:
        """Remove it, and clsact if that was made for it and nobody else has a filter there."""
        if self._device.program(self._handle) == self._id:
            self._device.detach(self._handle)
        self._device.leave(made=self._handle == MADE)


def remove_left(library: ctypes.CDLL) -> None:
    """Remove what processes left that are no more, from every device of the network namespace."""
    for ifindex, _ in socket.if_nameindex():
        if filtered(ifindex):
            with suppress(OSError):
                device = _Device(library, ifindex)
                device.leave(made=device.remove_left())


class _Device:
    """The ingress of a device, which no other process has as long as this one does."""

    def __init__(self, library: ctypes.CDLL, ifindex: int) -> None:
        self._library = library
        self._ifindex = ifindex
        self._owner = _owner(ifindex)

    def leave(self, *, made: bool) -> None:
        """Give the device up; remove clsact if it was made, and has no filters."""
        if made and not (filtered(self._ifindex) or filtered(self._ifindex, EGRESS)):
            self._call("hook_destroy", self._hook(INGRESS | EGRESS))
        self._owner.close()

    def make(self) -> bool:
        """Make clsact; tell whether there was none."""
        status = self._call("hook_create", self._hook())
        if status not in (0, -errno.EEXIST):
            raise _error(-status)
        return status == 0

    def remove_left(self) -> bool:
        """Remove a filter of ours that nobody owns; tell whether clsact was made for it."""
        left = [handle for handle in (FOUND, MADE) if self._is_ours(self.program(handle))]
        for handle in left:
            self.detach(handle)
        return MADE in left

    def attach(self, handle: int, program: int) -> int:
        """Put a program there; return its number."""
        options = _options(handle, prog_fd=program)
        status = self._call("attach", self._hook(), options)
        if status:
            raise _error(-status)
        return int(options.prog_id)

    def program(self, handle: int) -> int:
        """Return the number of the program of a filter; 0: there is no such filter."""
        options = _options(handle)
        return 0 if self._call("query", self._hook(), options) else int(options.prog_id)

    def detach(self, handle: int) -> None:
        """Remove a filter."""
        self._call("detach", self._hook(), _options(handle))

    def _hook(self, point: int = INGRESS) -> _Hook:
        return _Hook(sz=ctypes.sizeof(_Hook), ifindex=self._ifindex, attach_point=point)

    def _call(self, name: str, *arguments: ctypes.Structure) -> int:
        function = getattr(self._library, f"bpf_tc_{name}")
        return int(function(*(ctypes.byref(each) for each in arguments)))

    def _is_ours(self, identity: int) -> bool:
        descriptor = self._library.bpf_prog_get_fd_by_id(identity) if identity else -1
        if descriptor < 0:
            return False
        info = ctypes.create_string_buffer(INFO_SIZE)
        size = ctypes.c_uint32(INFO_SIZE)
        self._library.bpf_obj_get_info_by_fd(descriptor, info, ctypes.byref(size))
        os.close(descriptor)
        return info.raw[NAME_AT:].rstrip(b"\0") == NAME


def _error(number: int) -> OSError:
    if number == errno.ENOENT:
        return OSError(number, "the kernel lacks its modules sch_ingress or cls_bpf")
    return OSError(number, os.strerror(number))


def _options(handle: int, prog_fd: int = 0) -> _Options:
    return _Options(sz=ctypes.sizeof(_Options), handle=handle, priority=PRIORITY, prog_fd=prog_fd)


def _owner(ifindex: int) -> socket.socket:
    """Return a name of the device's network namespace; the kernel frees it when its owner ends."""
    owner = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        owner.bind(f"\0virtboost-flow-tc-{ifindex}")
    except OSError:
        owner.close()
        raise OSError(errno.EBUSY, "another process has it there") from None
    return owner


def filtered(ifindex: int, point: int = INGRESS) -> bool:
    """Tell whether a device has filters of clsact or of the ingress qdisc."""
    request = struct.pack("=IHHII", 36, RTM_GETTFILTER, NLM_F_REQUEST_DUMP, 1, 0)
    request += struct.pack("=BxHiIII", 0, 0, ifindex, 0, PARENTS[point], 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
        asked.send(request)
        answer = asked.recv(1 << 16)
    return bool(struct.unpack_from("=H", answer, 4)[0] == RTM_NEWTFILTER)
