"""Experiments begun, gone on with after a reboot or an interruption, and told again."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable

from virtboost.emit.edit import edits
from virtboost.errors import InputError, VirtboostError
from virtboost.prove.course import Course
from virtboost.prove.host import Act, HostBench, Place, boot_of
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
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return store.begin(place.writer.name, place.hostname, now, spec, published)


def carry_out(store: Store, place: Place, about: About, tell: Callable[[str], None]) -> Experiment:
    """Run what is left of an experiment, and return what it says.

    Raises:
        InputError: It waits for a reboot that was not made.
        RebootNeeded: Somebody has to boot the host; then it goes on.
        TransportError: The host is lost, or did not take a value.
    """
    if about.boot is not None and boot_of(place.reader) == about.boot:
        raise InputError(f"experiment {about.id} waits for a reboot of {about.host}")
    store.end(about.id, RUNNING)
    runner = Runner(about.spec, _bench(place, about), store.log(about.id), tell)
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
    course.replay(log.runs, log.voids)
    return course.experiment(about, log.runs, log.voids)


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
        if about.id in numbers and about.boot is not None:
            raise InputError(
                f"experiment {about.id} waits for a reboot of {about.host}, with its changes made; "
                f"boot it and virtboost prove resume {about.id}"
            )
        if about.id in numbers:
            tell(f"experiment {about.id} was not at its end: its changes are undone first")
            _bench(place, about).put(())
        if about.ended == RUNNING:
            store.end(about.id, "killed")


_PURPOSE = re.compile(r"experiment (\d{1,18}): ")


def _bench(place: Place, about: About) -> HostBench:
    acts = [_act(trial) for trial in trials(about.spec.factors)]
    return HostBench(
        place,
        acts,
        purpose=f"experiment {about.id}",
        watch=about.spec.watch,
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
