"""Samples: a packet of an entry is left to Open vSwitch, and what it sends to the prediction.

Sockets on the ports see what comes and what Open vSwitch sends; what the fast path redirects passes
no socket.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from virtboost.flow.agent.compare import Frame, Result, compare, is_comparable
from virtboost.flow.agent.gate import Gate
from virtboost.flow.agent.table import Side, Table

SAMPLE_NS = 100_000_000
"""How long frames are taken for one sample."""

FRAMES_MOST = 2000

CHOSEN_OF = 64
"""Busiest entries that samples are of."""

ABSENT_MOST = 8
"""In a row of one entry: then it takes what Open vSwitch drops.  Fewer may be lost by overload."""

OUTGOING = 4
"""PACKET_OUTGOING of linux/if_packet.h."""

EVERY_PROTOCOL = socket.htons(3)

SOL_PACKET, AUXDATA, VLAN_VALID = 263, 8, 0x10
"""Of linux/if_packet.h: a VLAN tag is beside the frame, taken off before a socket sees it."""


class Wrong(NamedTuple):
    """What a sample says against an entry."""

    side: Side
    how: str


class Sample:
    """One that is being taken."""

    def __init__(self, side: Side, ports: Iterable[str]) -> None:
        """Open a socket on each port."""
        self.side = side
        self.end_ns = time.monotonic_ns() + SAMPLE_NS
        self._came: list[Frame] = []
        self._left: list[Frame] = []
        self._sockets = {port: _tap(port) for port in ports}

    def read(self) -> None:
        """Take the frames that there are."""
        for port, each in self._sockets.items():
            while len(self._came) + len(self._left) < FRAMES_MOST:
                try:
                    data, told, _, address = each.recvmsg(65535, 64)
                except OSError:
                    break
                frame = Frame(port, _tagged(data, told))
                (self._left if address[2] == OUTGOING else self._came).append(frame)

    def result(self) -> Result | None:
        """Close the sockets, and return how it compares; None: no packet came."""
        self.read()
        self.close()
        return compare(self.side, self._came, self._left)

    def close(self) -> None:
        """Close the sockets."""
        for each in self._sockets.values():
            each.close()


def _tap(port: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, EVERY_PROTOCOL)
    made.setsockopt(SOL_PACKET, AUXDATA, 1)
    made.bind((port, 0))
    made.setblocking(False)  # noqa: FBT003 (the library's)
    return made


def _tagged(data: bytes, told: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return a frame as it was on the wire, by what ``struct tpacket_auxdata`` tells beside it."""
    for _, _, aux in told:
        status, tci, tpid = struct.unpack_from("=I12xHH", aux)
        if status & VLAN_VALID:
            return data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
    return data


class Verifier:
    """One sample after another."""

    def __init__(self) -> None:
        """Begin without one."""
        self.results: Counter[str] = Counter()
        self._sample: Sample | None = None
        self._absent: dict[Side, int] = {}

    @property
    def busy(self) -> bool:
        """Whether one is being taken."""
        return self._sample is not None

    def begin(self, side: Side, ports: Iterable[str]) -> None:
        """Take frames from now on; the caller has a packet of the side pass."""
        self._sample = Sample(side, ports)

    def step(self, now_ns: int) -> Wrong | None:
        """Go on; return a side that is wrong, and how."""
        sample = self._sample
        if sample is None:
            return None
        sample.read()
        if now_ns < sample.end_ns:
            return None
        self._sample = None
        result = sample.result()
        if result is None:
            return None
        self.results[result] += 1
        return self._judged(sample.side, result)

    def _judged(self, side: Side, result: Result) -> Wrong | None:
        if result == "different":
            return Wrong(side, "Open vSwitch sent another packet than was predicted")
        if result == "same":
            self._absent.pop(side, None)
            return None
        self._absent[side] = self._absent.get(side, 0) + 1
        if self._absent[side] >= ABSENT_MOST:
            how = f"Open vSwitch sent none of {ABSENT_MOST} packets that were predicted"
            return Wrong(side, how)
        return None

    def forget(self, installed: Iterable[Side]) -> None:
        """Keep what is known of entries that are still installed, only."""
        kept = set(installed)
        self._absent = {side: n for side, n in self._absent.items() if side in kept}

    def stop(self) -> None:
        """Take no more."""
        if self._sample is not None:
            self._sample.close()
            self._sample = None


class Sampler:
    """Chooses what is sampled, and tells what stands after a change."""

    def __init__(self, table: Table, gate: Gate) -> None:
        """Begin without a sample."""
        self._table, self._gate = table, gate
        self._verifier = Verifier()
        self._ticket = -1

    @property
    def results(self) -> Counter[str]:
        """How samples were."""
        return self._verifier.results

    def begin(self, now_ns: int, ports: Iterable[str]) -> None:
        """Have a packet of one entry compared: of the one that was not for longest."""
        self._verifier.forget(side for pair in self._table.pairs for side in pair.sides)
        busiest = self._table.busiest(CHOSEN_OF)
        sides = [side for side in busiest if side.packets_per_s > 0 and is_comparable(side)]
        if sides and not self._verifier.busy:
            side = min(sides, key=lambda each: each.sampled_ns)
            side.sampled_ns, self._ticket = now_ns, self._gate.ticket
            self._verifier.begin(side, ports)
            self._table.ask_for_packet(side)

    def step(self, now_ns: int) -> Wrong | None:
        """Go on; return what is wrong, unless something changed since the sample began."""
        wrong = self._verifier.step(now_ns)
        return wrong if self._ticket == self._gate.ticket else None

    def stands(self, wrong: Wrong) -> bool:
        """Tell whether it is still so after a check: nothing changed, and the entry is there."""
        return self._ticket == self._gate.ticket and self._table.has(wrong.side)

    def stop(self) -> None:
        """Take no more."""
        self._verifier.stop()
