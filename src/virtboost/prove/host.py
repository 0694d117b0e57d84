"""A host that an experiment is carried out on: its trials, what it says, and what runs on it."""

from __future__ import annotations

import datetime
import resource
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from virtboost.apply.execute import apply, undo
from virtboost.apply.journal import Changeset, Journal
from virtboost.apply.preflight import read_now
from virtboost.errors import ChangeFailed, HostTimeout, TransportError
from virtboost.model.change import Change
from virtboost.model.machine import MachineState
from virtboost.prove import machine
from virtboost.prove.figure import NoFigure, figure
from virtboost.prove.result import Cost
from virtboost.prove.runner import Measured, RebootNeeded
from virtboost.prove.spec import REBOOT, Metric, Workload
from virtboost.transport.program import Ended, Program
from virtboost.transport.source import NOT_RUN, STOPPED, Capture, Files, Reader
from virtboost.transport.writer import Writer

BOOT = Files("/proc/sys/kernel/random", ("boot_id",))

_BOOT_LIMIT_S = 1800
"""A server with much memory tests it for long."""

_BOOT_STEP_S = 2

_ACTIVATE_LIMIT_S = 600

_ANSWER_S = 30

_REBOOT = ("sh", "-c", "(sleep 1; systemctl reboot || reboot) >/dev/null 2>&1 </dev/null &")
"""The answer comes before the host goes."""

_TIMES_STEP_S = 0.01
"""What a shell leaves out of its CPU time at most."""


class Act(NamedTuple):
    """A trial as it is carried out."""

    name: str
    changes: Sequence[Change]
    paths: frozenset[str]
    """Of the settings that it changes."""
    activate: Sequence[str]
    quiet: bool
    """Whether the host is not looked at while it is in force."""


class Place(NamedTuple):
    """The host, and how it is reached."""

    reader: Reader
    writer: Writer
    journal: Journal
    hostname: str | None
    program_at: Callable[[str], Program]
    """Returns what runs programs at a place: see ``Workload.at``."""
    boots: bool
    """Whether it may be booted from here."""


class Due(NamedTuple):
    """Trials whose ``activate`` is still to be run, kept where a crash does not reach."""

    names: Sequence[str]
    """From before."""
    keep: Callable[[Sequence[str]], None]


class HostBench:
    """Makes and takes back the changes of trials, runs workloads, and looks at the host."""

    def __init__(
        self,
        place: Place,
        acts: Sequence[Act],
        *,
        purpose: str,
        watch: Sequence[str],
        due: Due,
        settle_s: float,
    ) -> None:
        """Begin with what is in force by the journal.

        Args:
            place: The host.
            acts: The trials.
            purpose: What the journal calls the experiment.
            watch: Settings that must hold, beside those of the trials.
            due: What was changed and not put in force before.
            settle_s: Wait after each change.
        """
        self._due = list(due.names)
        self._keep_due = due.keep
        self._place = place
        self._acts = {act.name: act for act in acts}
        self._purpose = purpose
        self._watched = {*watch, *(path for act in acts for path in act.paths)}
        self._settle_s = settle_s
        self._quiet = False

    def put(self, in_force: Sequence[str]) -> bool:
        """Put these trials in force, and no others; tell whether the host was booted anew.

        Raises:
            RebootNeeded: They are made, and somebody has to boot the host.
            TransportError: The host is lost, or did not take a value.
        """
        wanted = set(in_force)
        self._quiet = any(self._acts[name].quiet for name in in_force)
        made = self._made()
        off = [act for name, act in self._acts.items() if name in made and name not in wanted]
        on = [act for name, act in self._acts.items() if name in wanted and name not in made]
        changed = [act for act in (*off, *on) if act.changes]
        self._require_activation(changed)
        for act in off:
            self._take_back(made[act.name])
        for act in on:
            self._carry_out(act)
        booted = self._activate(changed)
        if changed:
            time.sleep(self._settle_s)
        return booted

    def lost(self, in_force: Sequence[str]) -> str | None:
        """Return which setting of these trials says something else than was written; None: none."""
        made = self._made()
        settings = [
            record.setting for name in in_force if name in made for record in made[name].records
        ]
        now = read_now(self._place.reader, [each.path for each in settings]) if settings else {}
        for each in settings:
            found = now[each.path].value if each.path in now else None
            if not each.same(found, each.value):
                return f"{each.path}: {each.value!r} was written, it says {found!r}"
        return None

    def settings(self, changing: Collection[str]) -> dict[str, str]:
        """Return what is watched while these trials are made and taken back: path and value."""
        own = {path for name in changing for path in self._acts[name].paths}
        watched = sorted(self._watched - own)
        now = read_now(self._place.reader, watched) if watched else {}
        return {path: found.value for path, found in now.items()}

    def measure(self, workload: Workload) -> Measured:
        """Run a workload once, and look at the host before and after it unless that is off."""
        program = self._place.program_at(workload.at)
        began_at, used, begun = _now(), _Used(), time.monotonic()
        before = self._look(used)
        started = time.monotonic()
        ended = program(workload.command, workload.limit_s)
        duration_s = time.monotonic() - started
        after = self._look(used)
        probed = _probed(before, after, duration_s)
        figures, problem = _figures(workload, ended, probed)
        cost = None if before is None else used.cost()
        whole_s = time.monotonic() - begun
        return Measured(began_at, whole_s, figures, problem, before=before, after=after, cost=cost)

    def _look(self, used: _Used) -> MachineState | None:
        if self._quiet:
            return None
        capture = self._place.reader.read(machine.SOURCES)
        used.took(capture)
        return machine.parse(capture)

    def _made(self) -> dict[str, Changeset]:
        """Return what the journal has open of each trial."""
        beginning = f"{self._purpose}: "
        left = self._place.journal.left(self._place.writer.name)
        return {
            purpose.removeprefix(beginning): changeset
            for purpose, changeset in left.items()
            if purpose.startswith(beginning)
        }

    def _carry_out(self, act: Act) -> None:
        reader, writer, journal, hostname, *_ = self._place
        purpose = f"{self._purpose}: {act.name}"
        made = apply(reader, writer, journal, act.changes, hostname=hostname, purpose=purpose)
        if act.changes and made is None:
            raise ChangeFailed(writer.name, f"{act.name}: somebody else made it meanwhile")

    def _take_back(self, changeset: Changeset) -> None:
        reader, writer, journal, *_ = self._place
        conflicts = undo(reader, writer, journal, changeset, force=False)
        if conflicts:
            raise ChangeFailed(
                writer.name,
                f"somebody else changed {conflicts[0].path} meanwhile; "
                f"virtboost undo {changeset.id} says more",
            )

    def _require_activation(self, acts: Sequence[Act]) -> None:
        """Keep, before anything is changed, whose command has to be run afterwards."""
        commands = [act.name for act in acts if act.activate and act.activate != REBOOT]
        if commands:
            self._due = list(dict.fromkeys([*self._due, *commands]))
            self._keep_due(self._due)

    def _activate(self, acts: Sequence[Act]) -> bool:
        """Put what was changed in force; tell whether the host was booted for it."""
        for name in tuple(self._due):
            self._command(self._acts[name])
            self._due.remove(name)
            self._keep_due(self._due)
        if all(act.activate != REBOOT for act in acts):
            return False
        boot = boot_of(self._place.reader)
        if not self._place.boots:
            raise RebootNeeded(boot)
        _reboot(self._place, boot)
        return True

    def _command(self, act: Act) -> None:
        done = self._place.program_at("")(act.activate, _ACTIVATE_LIMIT_S)
        if done.status != 0:
            raise ChangeFailed(
                self._place.writer.name,
                f"{act.name}: activate: {_why(done)}: what was changed is not in force, nor is "
                "what was undone",
            )


class _Used:
    """What virtboost takes of the host from now on."""

    def __init__(self) -> None:
        self._begun = resource.getrusage(resource.RUSAGE_SELF)
        self._told: list[float] = []
        self._read_bytes = 0

    def took(self, capture: Capture) -> None:
        """Count what a look took."""
        self._read_bytes += sum(
            len(text)
            for _, entries in capture.sources()
            for names in entries.values()
            for text in names.values()
        )
        if capture.cpu_s is not None:
            self._told.append(capture.cpu_s + _TIMES_STEP_S)

    def cost(self) -> Cost:
        """Return what it was: of this process, or what the shell of the host told."""
        now = resource.getrusage(resource.RUSAGE_SELF)
        mine = now.ru_utime + now.ru_stime - self._begun.ru_utime - self._begun.ru_stime
        switches = now.ru_nvcsw + now.ru_nivcsw - self._begun.ru_nvcsw - self._begun.ru_nivcsw
        return Cost(
            cpu_s=sum(self._told) if self._told else mine,
            context_switches=None if self._told else switches,
            read_bytes=self._read_bytes,
        )


def boot_of(reader: Reader) -> str:
    """Return which boot of its kernel a host is in.

    Raises:
        ChangeFailed: It does not tell.
    """
    told = reader.read([BOOT]).text(BOOT, "boot_id")
    if told is None:
        raise ChangeFailed(reader.name, "it does not tell its boot_id: is it Linux?")
    return told


def _reboot(place: Place, boot: str) -> None:
    """Boot the host and wait until it is there again.

    Raises:
        HostTimeout: It does not come back.
    """
    place.program_at("")(_REBOOT, _ANSWER_S)
    end = time.monotonic() + _BOOT_LIMIT_S
    while time.monotonic() < end:
        time.sleep(_BOOT_STEP_S)
        try:
            if boot_of(place.reader) != boot:
                return
        except TransportError:
            continue
    raise HostTimeout(place.reader.name, f"not back {_BOOT_LIMIT_S} s after its reboot")


def _figures(
    workload: Workload, ended: Ended, probed: Mapping[str, float]
) -> tuple[dict[str, float], str | None]:
    """Return the figures of a run, or why there are none."""
    if ended.status == STOPPED:
        return {}, f"no end after {workload.limit_s:g} s"
    if ended.status != 0:
        return {}, _why(ended)
    try:
        return {each.name: _figure(each, ended, probed) for each in workload.metrics}, None
    except NoFigure as error:
        return {}, str(error)


def _figure(metric: Metric, ended: Ended, probed: Mapping[str, float]) -> float:
    if not metric.probe:
        return figure(metric, ended.stdout)
    if metric.probe not in probed:
        raise NoFigure(f"{metric.name}: the host does not tell its {metric.probe}")
    return probed[metric.probe]


def _probed(
    before: MachineState | None, after: MachineState | None, duration_s: float
) -> dict[str, float]:
    """Return what the host says of the time between two looks: busy CPUs, and watts."""
    if before is None or after is None:
        return {}
    found = {}
    if before.busy_s is not None and after.busy_s is not None:
        found["host cpu"] = (after.busy_s - before.busy_s) / duration_s
    energy_j = _used_j(before, after)
    if energy_j is not None:
        found["power"] = energy_j / duration_s
    elif before.power_w is not None and after.power_w is not None:
        found["power"] = (before.power_w + after.power_w) / 2
    return found


def _used_j(before: MachineState, after: MachineState) -> float | None:
    """Return the energy that was used between two looks; counters begin anew at their range."""
    if before.energy_j is None or after.energy_j is None:
        return None
    used_j = after.energy_j - before.energy_j
    while used_j < 0 and after.energy_range_j:
        used_j += after.energy_range_j
    return used_j if used_j >= 0 else None


def _why(ended: Ended) -> str:
    last = ended.stderr.strip().rpartition("\n")[2][:200]
    if ended.status == NOT_RUN and last:
        return last
    return f"exit status {ended.status}" + (f": {last}" if last else "")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
