"""``virtboost prove``: are changes better? Measured, with them and without, in turn."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.apply import Yes, agreed, prepare, show
from virtboost.cli.hosts import AsJson, readers
from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.apply.journal import Changeset
    from virtboost.cli.apply import Prepared
    from virtboost.prove.experiment import Bench
    from virtboost.prove.spec import Spec, Workload

NOT_BETTER = 1
"""Exit status where a workload is worse, or failed."""

HERE = "local"


def prove(
    spec: Annotated[
        Path,
        typer.Argument(metavar="SPEC.yaml", help="Changes and workloads.", show_default=False),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write every run and verdict to it."),
    ] = None,
    yes: Yes = False,
    json: AsJson = False,
) -> int:
    """Measure this machine with changes and without, in turn, until the answer is sure enough.

    The machine is left as it was.
    """
    from virtboost.cli.output import print_document
    from virtboost.cli.userfile import write_document
    from virtboost.prove.experiment import experiment
    from virtboost.report.experiment import experiment_lines

    asked = _read(spec)
    _require_clean()
    (prepared,) = prepare(
        readers([HERE]), spec.parent / asked.plan, (), dry_run=False, persist=False
    )
    if not prepared.steps:
        raise InputError(f"{asked.plan}: nothing to change: everything is as wanted already")
    _require_at_once(prepared)
    if not json:
        show([prepared], persist=False)
    if not yes and not agreed([prepared]):
        return NOT_BETTER
    found = experiment(asked, _bench(asked, prepared))
    if output is not None:
        write_document(output, found)
    print_document(found, lambda width: experiment_lines(found, width=width), json=json)
    bad = any(each.outcome in ("worse", "failed") for each in found.verdicts)
    return NOT_BETTER if bad else 0


def _read(path: Path) -> Spec:
    from virtboost.cli.userfile import read_text
    from virtboost.model.userfile import from_yaml
    from virtboost.prove.spec import Spec

    return from_yaml(read_text(path), Spec, str(path))


def _require_clean() -> None:
    """Refuse to begin beside changes that an earlier run may have left."""
    from virtboost.cli.changes import journal

    left = [each for each in journal().changesets(HERE) if each.open]
    if left:
        raise InputError(f"changeset {left[-1].id} is not undone: virtboost undo {left[-1].id}")


def _require_at_once(prepared: Prepared) -> None:
    """Refuse changes that are not in force while it would measure."""
    from virtboost.apply.tool import waits

    for step in prepared.steps:
        later = waits(step.setting.path)
        if later is not None:
            raise InputError(f"{step.setting.path}: takes effect {later}: nothing to measure here")


def _bench(spec: Spec, prepared: Prepared) -> Bench:
    from virtboost.prove.experiment import Bench

    def tell(text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text}")

    return Bench(_changer(spec, prepared), measure, tell)


def _changer(spec: Spec, prepared: Prepared) -> Callable[[bool], None]:
    """Return a function that makes the changes, or undoes them."""
    import time

    from virtboost.apply.execute import apply as carry_out
    from virtboost.apply.execute import undo as take_back
    from virtboost.cli.changes import journal, writable
    from virtboost.errors import ChangeFailed

    kept = journal()
    made: list[Changeset] = []

    def change(applied: bool) -> None:  # noqa: FBT001 (of a state there are two)
        if applied == bool(made):
            return
        if applied:
            changeset = carry_out(
                *writable(HERE), kept, prepared.changes, hostname=prepared.hostname
            )
            if changeset is None:
                raise ChangeFailed(HERE, "somebody else made the changes meanwhile")
            made.append(changeset)
        else:
            conflicts = take_back(*writable(HERE), kept, made.pop(), force=False)
            if conflicts:
                raise ChangeFailed(HERE, f"somebody else changed {conflicts[0].path} meanwhile")
        time.sleep(spec.settle_s)

    return change


def measure(workload: Workload) -> float:
    """Run a workload once and return its figure.

    Raises:
        WorkloadFailed: It does not end, fails, or prints no figure that is a number.
    """
    import math
    import re
    import subprocess

    from virtboost.prove.experiment import WorkloadFailed

    try:
        done = subprocess.run(
            workload.command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=workload.limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WorkloadFailed(f"no end after {workload.limit_s:g} s") from None
    except OSError as error:
        raise WorkloadFailed(f"{workload.command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise WorkloadFailed(f"exit status {done.returncode}: {last[:200]}")
    found = re.findall(workload.figure, done.stdout)
    try:
        figure = float(found[-1]) if found else math.nan
    except ValueError:
        raise WorkloadFailed(f"its figure is no number: {found[-1][:40]!r}") from None
    if not math.isfinite(figure):
        raise WorkloadFailed("no figure in its output" if not found else "its figure is no number")
    return figure
