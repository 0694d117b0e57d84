"""Experiments begun, gone on with after a reboot or an interruption, and told again."""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Callable

from msgspec.structs import replace

from virtboost.emit.edit import edits
from virtboost.errors import InputError, VirtboostError
from virtboost.prove.course import Course
from virtboost.prove.host import Act, Due, HostBench, Place, boot_of
from virtboost.prove.result import About, Experiment
from virtboost.prove.runner import RebootNeeded, Runner
from virtboost.prove.spec import Spec, Trial, trials
from virtboost.prove.store import RUNNING, WAITING, Store


def begin(store: Store, place: Place, spec: Spec, published: dict[str, str]) -> About:
    """Keep an experiment that is to be carried out; ``carry_out`` does it.

    Args:
        store: Where it is kept.
        place: The host.
        spec: What is asked, with all changes and commands in it.
        published: What was published of a trial, by its name.
    """
    seeded = replace(spec, seed=spec.seed or secrets.randbelow(1 << 31) + 1)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return store.begin(place.writer.name, place.hostname, now, seeded, published)


def carry_out(store: Store, place: Place, about: About, tell: Callable[[str], None]) -> Experiment:
    """Run what is left of an experiment, and return what it says.

    Raises:
        InputError: It waits for a reboot that was not made.
        RebootNeeded: Somebody has to boot the host; then it goes on.
        TransportError: The host is lost, or did not take a value.
    """
    if about.boot is not None and boot_of(place.reader) == about.boot:
        raise InputError(_waits(about))
    store.end(about.id, RUNNING)
    runner = Runner(about.spec, _bench(store, place, about), store.log(about.id), tell)
    try:
        ended = runner.go(rebooted=about.boot is not None)
    except RebootNeeded as error:
        store.end(about.id, WAITING, error.boot)
        raise
    except VirtboostError as error:
        store.end(about.id, f"stopped: {error}")
        raise
    except KeyboardInterrupt:
        store.end(about.id, "interrupted")
        raise
    store.end(about.id, ended)
    return told(store, store.experiment(about.id))


def told(store: Store, about: About) -> Experiment:
    """Return what an experiment says, from the runs that are kept of it."""
    log, course = store.log(about.id), Course(about.spec)
    course.replay(log.runs, log.blocks)
    return course.experiment(about, log.runs, log.blocks)


def recover(store: Store, place: Place, tell: Callable[[str], None]) -> None:
    """Take back what experiments have left on a host: killed, or after the host was lost.

    Raises:
        InputError: One waits for a reboot, with its changes made.
        TransportError: It cannot be taken back.
    """
    left = place.journal.left(place.writer.name)
    numbers = {int(match[1]) for each in left if (match := _PURPOSE.match(each))}
    for about in store.experiments():
        if about.host != place.writer.name:
            continue
        made = about.id in numbers
        if about.boot is not None and (made or about.boot == boot_of(place.reader)):
            raise InputError(f"{_waits(about)}; boot it and virtboost prove resume {about.id}")
        if made or about.due:
            tell(f"experiment {about.id} was not at its end: its changes are undone first")
            _undo(store, place, about)
        if about.ended == RUNNING:
            store.end(about.id, "killed")


def _undo(store: Store, place: Place, about: About) -> None:
    """Take back what an experiment has left.

    Raises:
        InputError: It takes a reboot.
        TransportError: It cannot be taken back.
    """
    try:
        _bench(store, place, about).put(())
    except RebootNeeded as error:
        store.end(about.id, WAITING, error.boot)
        raise InputError(f"{_waits(about)}, for its undo; boot it first") from None


def _waits(about: About) -> str:
    return f"experiment {about.id} waits for a reboot of {about.host}"


_PURPOSE = re.compile(r"experiment (\d{1,18}): ")


def _bench(store: Store, place: Place, about: About) -> HostBench:
    acts = [_act(trial) for trial in trials(about.spec.factors)]
    return HostBench(
        place,
        acts,
        purpose=f"experiment {about.id}",
        watch=about.spec.watch,
        due=Due(about.due, lambda names: store.due(about.id, names)),
        settle_s=about.spec.settle_s,
    )


def _act(trial: Trial) -> Act:
    return Act(
        name=trial.name,
        changes=trial.changes,
        paths=frozenset(edit.path for change in trial.changes for edit in edits(change)),
        activate=trial.factor.activate,
        quiet=trial.factor.probes == "off",
    )
