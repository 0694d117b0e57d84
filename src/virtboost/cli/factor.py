"""What the factors and workloads of an experiment stand for: changes and commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from virtboost.cli.apply import Prepared, prepared
from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.catalogue.item import AnyItem
    from virtboost.prove.spec import Factor, Spec, Trial, Workload
    from virtboost.transport.source import Reader


def read_spec(path: Path, design: Literal["ofat", "screen"] | None) -> Spec:
    """Return what is asked, with another design where one is given.

    Raises:
        InputError: It cannot be read, or means nothing.
    """
    from msgspec.structs import replace

    from virtboost.cli.userfile import read_text
    from virtboost.model.userfile import from_yaml
    from virtboost.prove.spec import Spec

    asked = from_yaml(read_text(path), Spec, str(path))
    return asked if design is None else replace(asked, design=design)


def resolved(asked: Spec, path: Path, reader: Reader) -> Spec:
    """Return what is asked, with the changes of plans and items and the commands of workloads.

    Args:
        asked: As it was written.
        path: Where; plans are beside it.
        reader: The host.

    Raises:
        InputError: There is no such plan, item or workload, or there is nothing to change.
        TransportError: The host could not be read.
    """
    from msgspec.structs import replace

    return replace(
        asked,
        factors=tuple(_factor(each, path.parent, reader) for each in asked.factors),
        workloads=tuple(_workload(each, path) for each in asked.workloads),
    )


def _factor(factor: Factor, folder: Path, reader: Reader) -> Factor:
    from msgspec.structs import replace

    from virtboost.cli.apply import changes_of

    if not factor.plan and not factor.item:
        return factor
    plan = folder / factor.plan if factor.plan else None
    items = (factor.item,) if factor.item else ()
    _, changes = changes_of(reader, plan, items)
    if not changes:
        raise InputError(f"{factor.name}: nothing to change: everything is as wanted already")
    return replace(factor, plan="", item="", changes=tuple(changes))


def _workload(workload: Workload, path: Path) -> Workload:
    from virtboost.prove.shipped import known

    try:
        return known(workload)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def published(spec: Spec) -> dict[str, str]:
    """Return what was published of the items that factors are, by the name of the trial."""
    from virtboost.catalogue.catalogue import ITEMS
    from virtboost.catalogue.item import NO_FIGURE

    items = {item.id: item for item in ITEMS if item.effect != NO_FIGURE}
    return {each.name: _told(items[each.item]) for each in spec.factors if each.item in items}


def _told(item: AnyItem) -> str:
    effect = item.effect
    return f"{effect.figure}, {effect.conditions} ({effect.source})"


def prepared_trials(spec: Spec, reader: Reader) -> list[tuple[str, Prepared]]:
    """Return what each trial is to change; nothing is written.

    Raises:
        InputError: One changes nothing, cannot be measured, or two that are in force together set
            the same.
    """
    from virtboost.prove.spec import trials

    _require_possible(spec)
    found = []
    for trial in trials(spec.factors):
        if trial.changes:
            made = prepared(reader, None, trial.changes, persist=False)
            _require_measurable(trial, made)
            found.append((trial.name, made))
    if spec.design == "screen":
        _require_apart(found, spec)
    return found


def _require_possible(spec: Spec) -> None:
    """Refuse an experiment whose verdicts share the level so that none can be found."""
    from virtboost.prove.course import Course

    least = Course(spec).least_blocks
    if spec.blocks < least:
        raise InputError(
            f"blocks: {least} at least, for the verdicts of all factors and metrics share alpha"
        )


def _require_measurable(trial: Trial, made: Prepared) -> None:
    from virtboost.apply.tool import waits
    from virtboost.emit.edit import edits
    from virtboost.prove.spec import REBOOT

    if not made.steps:
        raise InputError(f"{trial.name}: nothing to change: everything is as wanted already")
    changing = {step.setting.path for step in made.steps}
    for change in trial.changes:
        paths = [edit.path for edit in edits(change) if edit.path in changing]
        later = [waits(path) for path in paths]
        if paths and all(later) and not trial.factor.activate:
            raise InputError(
                f"{trial.name}: {paths[0]}: takes effect {later[0]}: say with activate: what puts "
                "it in force"
            )
        if paths and not any(later) and trial.factor.activate == REBOOT:
            raise InputError(
                f"{trial.name}: {paths[0]}: a reboot takes it back: it needs a factor of its own"
            )


def _require_apart(found: Sequence[tuple[str, Prepared]], spec: Spec) -> None:
    from virtboost.prove.screen import LEAST_FACTORS
    from virtboost.prove.spec import REBOOT

    if len(spec.factors) < LEAST_FACTORS:
        raise InputError(f"design: screen is for {LEAST_FACTORS} factors and more")
    for factor in spec.factors:
        if len(factor.levels) > 1 or factor.activate == REBOOT:
            raise InputError(f"{factor.name}: a screening takes one level, and no reboots")
    owner: dict[str, str] = {}
    for name, path in _paths(found):
        if owner.setdefault(path, name) != name:
            raise InputError(f"{owner[path]} and {name}: both set {path}")


def _paths(found: Sequence[tuple[str, Prepared]]) -> Iterator[tuple[str, str]]:
    for name, made in found:
        yield from ((name, step.setting.path) for step in made.steps)
