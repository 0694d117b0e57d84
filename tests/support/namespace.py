"""Network namespaces without a name: each lives as long as the process that holds it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from support.daemon import ask, need

CLONE_NEWNET = 0x40000000
"""``linux/sched.h``."""


@contextmanager
def namespace() -> Iterator[int]:
    """Make a network namespace without IPv6; yield the process that holds it.

    The process ends with this one, however this one ends.
    """
    need("setpriv", "unshare", "nsenter", "ip")
    holder = subprocess.Popen(
        ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c",
         "for what in all default; do echo 1 > /proc/sys/net/ipv6/conf/$what/disable_ipv6; done;"
         "echo; exec sleep infinity"),
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline(), "no namespace: unshare failed"
        ask(*entering(holder.pid), "ip", "link", "set", "lo", "up")
        yield holder.pid
    finally:
        holder.kill()
        holder.communicate()


def entering(pid: int) -> tuple[str, ...]:
    """Return the words that run a program in the namespace of a process."""
    return ("nsenter", "--net", "--target", str(pid))


@contextmanager
def inside(pid: int) -> Iterator[None]:
    """Let this thread be in the namespace of a process: sockets that are made there stay there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(own)
        os.close(own)
        os.close(there)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert not libc.setns(descriptor, CLONE_NEWNET), os.strerror(ctypes.get_errno())


def pair(pid: int, port: str, other: int, end: str, *, mtu: int = 1500) -> None:
    """Join two namespaces by a pair of veth: frames of the far end have whole checksums.

    An XDP program redirects to ``port`` only if its far end polls (NAPI), which GRO turns on.
    """
    far = ("peer", "name", end, "mtu", str(mtu), "netns", str(other))
    ask(*entering(pid), "ip", "link", "add", port, "mtu", str(mtu), "type", "veth", *far)
    ask(*entering(other), "ethtool", "-K", end, "tx", "off", "gro", "on")
    for where, name in ((pid, port), (other, end)):
        ask(*entering(where), "ip", "link", "set", name, "up")
