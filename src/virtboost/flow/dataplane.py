"""The data plane in the kernel: objects loaded through libbpf, maps written and read.

Nothing is pinned: programs and maps go with the last descriptor of this process, but for filters
of clsact below Linux 6.6.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from virtboost.errors import InputError, TransportError
from virtboost.flow.abi import MISS_ENDED, Candidate, Control, Entry, Key, State
from virtboost.flow.clsact import Filter, filtered, remove_left
from virtboost.flow.needs import LEAST, lacking, with_a_clock

OBJECTS = Path(__file__).with_name("bpf")

HOOKS = {"xdp": 37, "tc": 46}
"""Programs, and where they go: BPF_XDP and BPF_TCX_INGRESS of ``enum bpf_attach_type``."""

LIBRARY = "libbpf.so.1"
"""Of libbpf 1.0 and later, by the name that the linker knows."""


MISSES_LEAST = 16_384
"""Keys whose misses are counted: an LRU of fewer forgets them before they are candidates."""

FOREVER_NS = 2**64 - 1
"""A lease without an end."""


class NotLoaded(TransportError):
    """The kernel did not take the data plane."""


_TOLD = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
"""``ring_buffer_sample_fn``."""


class Candidates:
    """Keys that the data plane tells of because their packets find no entry."""

    def __init__(self, library: ctypes.CDLL, descriptor: int) -> None:
        """Map the ring of a map.

        Raises:
            NotLoaded: The kernel refused.
        """
        self._library = library
        self._found: list[Candidate] = []
        self._call = _TOLD(self._take)
        library.ring_buffer__new.restype = ctypes.c_void_p
        self._ring = ctypes.c_void_p(library.ring_buffer__new(descriptor, self._call, None, None))
        if not self._ring:
            raise NotLoaded("local", "map candidates: its ring cannot be mapped")
        self.descriptor = int(library.ring_buffer__epoll_fd(self._ring))
        """Can be polled for them."""

    def _take(self, _: object, data: int, size: int) -> int:
        self._found.append(Candidate.from_buffer_copy(ctypes.string_at(data, size)))
        return 0

    def take(self) -> list[Candidate]:
        """Return those since the last call, oldest first."""
        self._library.ring_buffer__consume(self._ring)
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        """Give the ring back."""
        self._library.ring_buffer__free(self._ring)


def libbpf() -> ctypes.CDLL:
    """Return the library of the system.

    Raises:
        InputError: There is none, or one that is older and whose errors have another form.
    """
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError:
        raise InputError(
            f"{LIBRARY} is missing, of libbpf 1.0 or later: apt-get install libbpf1, "
            "or your system's package"
        ) from None
    for function in ("open", "find_program_by_name", "find_map_by_name"):
        getattr(library, f"bpf_object__{function}").restype = ctypes.c_void_p
    library.libbpf_set_print(None)
    return library


class DataPlane:
    """One loaded program with its maps; a context manager."""

    def __init__(self, hook: str, *, size: int, objects: Path = OBJECTS) -> None:
        """Load it.

        Args:
            hook: ``xdp`` or ``tc``.
            size: How many entries it has room for.
            objects: Folder of ``xdp.bpf.o`` and ``tc.bpf.o``.

        Raises:
            InputError: There is no object, or no libbpf.
            NotLoaded: The kernel refused it.
        """
        path = objects / f"{hook}.bpf.o"
        if not path.is_file():
            raise InputError(f"{path}: not built; run make bpf, which needs clang and libbpf-dev")
        self.hook = hook
        """``xdp`` or ``tc``."""
        self._links: dict[int, int] = {}
        self._filters: dict[int, Filter] = {}
        self._maps: dict[str, int] = {}
        self._library = libbpf()
        self._object = ctypes.c_void_p(self._library.bpf_object__open(str(path).encode()))
        if not self._object:
            raise NotLoaded("local", f"{path}: libbpf cannot read it")
        try:
            self._load(size)
        except NotLoaded:
            self.close()
            raise

    def _load(self, size: int) -> None:
        sizes = {"flows": size, "states": size, "misses": max(2 * size, MISSES_LEAST)}
        for name, room in sizes.items():
            self._library.bpf_map__set_max_entries(self._find("map", name), room)
        program = self._find("program", f"flow_{self.hook}")
        with_a_clock(self._library, program)
        status = self._library.bpf_object__load(self._object)
        if status:
            raise NotLoaded("local", f"{self.hook}: {self._why(status)}")
        self.cpus = self._library.libbpf_num_possible_cpus()
        self.program = self._library.bpf_program__fd(program)
        names = ("flows", "control", "states", "passes", "misses", "candidates")
        self._maps = {name: self._descriptor(name) for name in names}
        self.candidates = Candidates(self._library, self._maps["candidates"])

    def _why(self, status: int) -> str:
        """Return why the kernel refused it."""
        if status == -errno.EPERM:
            return "it takes root to load it"
        missing = ", ".join(dict.fromkeys(lacking(self._library, self._object)))
        word = f"has no {missing}" if missing else errno.errorcode.get(-status, str(status))
        return f"Linux {os.uname().release} refused it: {word}; it takes {LEAST} or later"

    def _find(self, kind: str, name: str) -> ctypes.c_void_p:
        function = getattr(self._library, f"bpf_object__find_{kind}_by_name")
        return ctypes.c_void_p(function(self._object, name.encode()))

    def _descriptor(self, name: str) -> int:
        return int(self._library.bpf_map__fd(self._find("map", name)))

    def __enter__(self) -> DataPlane:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def attach(self, ifindex: int) -> None:
        """Put it in front of a device until this is closed, or the process ends.

        Where the kernel has no links for TC, below 6.6, or the device has filters, which links come
        before, it is a filter too.  That remains when the process is killed; it passes everything
        once the leases are over, and the next start in this network namespace removes it.

        Raises:
            NotLoaded: The device has such a program, or the kernel no such hook: XDP is attached by
                link since 5.9.
        """
        if self.hook == "tc" and not self._links and not self._filters:
            remove_left(self._library)
        try:
            if self.hook == "tc" and filtered(ifindex):
                self._filter(ifindex)
            else:
                self._link(ifindex)
        except OSError as error:
            problem = f"device {ifindex}: {self.hook} cannot be attached: {error.strerror}"
            raise NotLoaded("local", problem) from None

    def _link(self, ifindex: int) -> None:
        link = self._library.bpf_link_create(self.program, ifindex, HOOKS[self.hook], None)
        if link == -errno.EINVAL and self.hook == "tc":
            self._filter(ifindex)
        elif link < 0:
            raise OSError(-link, os.strerror(-link))
        else:
            self._links[ifindex] = link

    def _filter(self, ifindex: int) -> None:
        self._filters[ifindex] = Filter(self._library, self.program, ifindex)

    def detach(self, ifindex: int) -> None:
        """Take it away from a device, which may be gone."""
        if ifindex in self._links:
            os.close(self._links.pop(ifindex))
        if ifindex in self._filters:
            self._filters.pop(ifindex).close()

    def detach_all(self) -> None:
        """Take it away from every device; what it counted stays."""
        for ifindex in (*self._links, *self._filters):
            self.detach(ifindex)

    def close(self) -> None:
        """Detach it everywhere, and give programs and maps back."""
        self.detach_all()
        if self._maps:
            self.candidates.close()
        self._maps = {}
        self._library.bpf_object__close(self._object)
        self._object = ctypes.c_void_p()

    def install(self, key: Key, entry: Entry) -> None:
        """Put an entry in, or replace it as a whole.

        Raises:
            NotLoaded: There is no room.
        """
        self._update("flows", key, entry)

    def remove(self, key: Key) -> None:
        """Take an entry out, if it is there."""
        self._library.bpf_map_delete_elem(self._maps["flows"], ctypes.byref(key))

    def control(self, *, epoch: int, lease_ns: int = FOREVER_NS, clock_ns: int = 0) -> None:
        """Set the epoch: entries of another are passed by from the next packet on.

        So is every entry from ``lease_ns`` of CLOCK_MONOTONIC on.
        """
        self._update("control", ctypes.c_uint32(0), Control(epoch, lease_ns, clock_ns))

    def clear(self, slot: int) -> None:
        """Make a state new, before an entry uses it."""
        self._update("states", ctypes.c_uint32(slot), State())

    def state(self, slot: int) -> State:
        """Return what was counted of an entry, and whether it is closed."""
        found = State()
        self._lookup("states", slot, found)
        return found

    def states(self, count: int) -> Sequence[State]:
        """Return the states of the slots below ``count``, at least 1, in one call."""
        found = (State * count)()
        slots, last = (ctypes.c_uint32 * count)(), ctypes.c_uint32()
        read = ctypes.c_uint32(count)
        status = self._library.bpf_map_lookup_batch(
            self._maps["states"], None, ctypes.byref(last), slots, found, ctypes.byref(read), None
        )
        if status not in (0, -errno.ENOENT):  # that is the end of the map
            word = errno.errorcode.get(-status, str(status))
            raise NotLoaded("local", f"map states: cannot be read: {word}")
        return list(found)

    def forget(self, key: Key) -> None:
        """Count the packets of a key that finds no entry anew."""
        self._library.bpf_map_delete_elem(self._maps["misses"], ctypes.byref(key))

    def ended(self, key: Key) -> bool:
        """Tell whether a key that found no entry had a FIN or RST, and no SYN after it."""
        count = ctypes.c_uint64()
        self._library.bpf_map_lookup_elem(
            self._maps["misses"], ctypes.byref(key), ctypes.byref(count)
        )
        return bool(count.value & MISS_ENDED)

    def passes(self) -> Iterator[tuple[int, int]]:
        """Yield reasons of ``abi.PASSES`` that occurred, with packets of all CPUs."""
        for reason in range(1, self._library.bpf_map__max_entries(self._find("map", "passes"))):
            each = (ctypes.c_uint64 * self.cpus)()
            self._lookup("passes", reason, each)
            if sum(each):
                yield reason, sum(each)

    def _update(self, name: str, key: object, value: object) -> None:
        references = (ctypes.byref(key), ctypes.byref(value))  # type: ignore[arg-type]
        if self._library.bpf_map_update_elem(self._maps[name], *references, ctypes.c_uint64(0)):
            word = errno.errorcode.get(ctypes.get_errno(), "unknown")
            raise NotLoaded("local", f"map {name}: the kernel refused an update: {word}")

    def _lookup(self, name: str, index: int, value: object) -> None:
        key = ctypes.c_uint32(index)
        if self._library.bpf_map_lookup_elem(
            self._maps[name],
            ctypes.byref(key),
            ctypes.byref(value),  # type: ignore[arg-type]
        ):
            raise NotLoaded("local", f"map {name}: it has no {index}")
