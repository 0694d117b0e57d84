"""Everything that some changes set is read, and what cannot be is refused, before any write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from virtboost.apply.refusal import needs, refusals
from virtboost.apply.tool import GONE, Found, found_in, sources
from virtboost.emit.commands import commands
from virtboost.emit.edit import edits
from virtboost.emit.kernel import is_kernel_file
from virtboost.emit.persist import persistent
from virtboost.emit.setting import Edit, Setting
from virtboost.errors import InputError
from virtboost.model.change import Change
from virtboost.transport.source import Capture, Command, Files, Reader


class Step(Struct, frozen=True, kw_only=True):
    """One setting: what it says now, and what it is to say."""

    setting: Setting
    found: Found
    reason: str

    @property
    def changes(self) -> bool:
        """Whether the setting has another value now."""
        return not self.setting.same(self.found.value, self.setting.value)


def preflight(
    reader: Reader, changes: Sequence[Change], *, persist: bool = False
) -> tuple[Step, ...]:
    """Read everything that some changes set, in one round trip; nothing is written.

    With ``persist`` the files that set it again at every boot are among it.

    Raises:
        InputError: A change cannot be carried out here: nothing was written.
        TransportError: The host could not be read.
    """
    wanted = [
        (change, (*edits(change), *(persistent(change) if persist else ()))) for change in changes
    ]
    paths = sorted({edit.path for _, made in wanted for edit in made})
    around = {need for path in paths for need in needs(path)}
    settings = sources(paths)
    capture = reader.read([*dict.fromkeys(settings.values()), *sorted(around, key=repr)])
    now = told(capture, settings)
    steps: dict[str, Step] = {}
    for change, made in wanted:
        there = [edit for edit in made if edit.path in now and now[edit.path].value != GONE]
        _require(reader.name, change, made, there)
        for edit in there:
            steps[edit.path] = _step(edit, change.reason, now[edit.path], steps.get(edit.path))
    for problem in _problems(steps, capture):
        raise InputError(f"{reader.name}: {problem}")
    return tuple(steps.values())


def read_now(reader: Reader, paths: Iterable[str]) -> dict[str, Found]:
    """Return what settings say, by path, in one round trip; those that say nothing are missing."""
    settings = sources(paths)
    return told(reader.read(list(dict.fromkeys(settings.values()))), settings)


def told(capture: Capture, settings: Mapping[str, Files | Command]) -> dict[str, Found]:
    """Return what settings say, by path, from what was read of each; some may say nothing."""
    found = {path: found_in(capture, path, source) for path, source in settings.items()}
    return {path: each for path, each in found.items() if each is not None}


def _require(name: str, change: Change, made: Sequence[Edit], there: Sequence[Edit]) -> None:
    """Raise where the host does not tell a value that is needed."""
    missing = [edit.path for edit in made if edit not in there and not edit.optional]
    if not there:
        missing = missing or [made[0].path]
    if missing:
        by_hand = "" if is_kernel_file(change) else f"; by hand: {'; '.join(commands(change))}"
        raise InputError(f"{name}: {missing[0]}: is not there, or says nothing{by_hand}")


def _step(edit: Edit, reason: str, now: Found, before: Step | None) -> Step:
    """Return the step of an edit, after the edits of the same setting that came before.

    Raises:
        InputError: They want two values.
    """
    found = now.value if before is None else before.setting.value
    setting = Setting(path=edit.path, value=edit.make(found), form=edit.form)
    if before is not None and edit.make(now.value) == setting.value != found:
        raise InputError(f"{edit.path}: two values, {found!r} and {setting.value!r}")
    return Step(setting=setting, found=now, reason=reason)


def _problems(steps: dict[str, Step], capture: Capture) -> Sequence[str]:
    changing = [step for step in steps.values() if step.changes]
    wanted = {step.setting.path: step.setting for step in changing}
    return refusals(wanted, {path: steps[path].found.value for path in wanted}, capture)
