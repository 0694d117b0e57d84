"""``virtboost prove``: which changes are better? Measured, with them and without, in turn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from virtboost.cli.application import add_verb, application
from virtboost.cli.apply import Yes, agreed, show
from virtboost.cli.hosts import AsJson, control_directory
from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.prove.host import Place
    from virtboost.prove.result import About, Experiment
    from virtboost.prove.spec import Spec
    from virtboost.prove.store import Store
    from virtboost.transport.program import Program

NOT_BETTER = 1
"""Exit status where something is worse, or failed."""

Host = Annotated[
    str, typer.Option("-H", "--host", metavar="HOST", help="local, or ssh://[user@]host[:port].")
]

Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write every run and verdict to it."),
]

HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page of the runs and what they say."),
]

Winners = Annotated[
    Path | None,
    typer.Option(
        "--winners",
        metavar="PLAN.json",
        help="Write the changes of the factors that are kept, for virtboost apply --persist.",
    ),
]


class Design(StrEnum):
    """In which order factors are tried."""

    OFAT = "ofat"
    SCREEN = "screen"


Number = Annotated[int, typer.Argument(metavar="N", help="Of the experiment.")]


def run(
    spec: Annotated[
        Path,
        typer.Argument(metavar="SPEC.yaml", help="Factors and workloads.", show_default=False),
    ],
    host: Host = "local",
    *,
    design: Annotated[
        Design | None,
        typer.Option(
            help="One factor at a time, or all at once in a fraction of the combinations, and then "
            "the promising ones; in place of what the spec says."
        ),
    ] = None,
    output: Output = None,
    html: HtmlFile = None,
    winners: Winners = None,
    yes: Yes = False,
    json: AsJson = False,
) -> int:
    """Measure a host with each factor and without, in turn, until the answer is sure enough.

    The host is left as it was. The word run may be left out.
    """
    from virtboost.cli.factor import prepared_trials, published, read_spec, resolved
    from virtboost.prove.conduct import begin, recover

    write = _writer(output, html, winners)
    with _experiments(host) as (store, place):
        recover(store, place, _warn)
        written = read_spec(spec, None if design is None else design.value)
        asked = resolved(written, spec, place.reader)
        trials = prepared_trials(asked, place.reader)
        _require_reachable(asked, place)
        if not json:
            for _, each in trials:
                show([each], persist=False)
        if not yes and trials and not agreed([each for _, each in trials]):
            return NOT_BETTER
        about = begin(store, place, asked, published(written))
        return _carried_out(store, place, about, write, json=json)


def resume(
    number: Number,
    *,
    output: Output = None,
    html: HtmlFile = None,
    winners: Winners = None,
    json: AsJson = False,
) -> int:
    """Go on with an experiment that waits for a reboot, or was interrupted."""
    from virtboost.prove.conduct import recover

    write = _writer(output, html, winners)
    about = _store().experiment(number)
    with _experiments(about.host) as (store, place):
        if about.boot is None:
            recover(store, place, _warn)
        return _carried_out(store, place, about, write, json=json)


def list_(*, json: AsJson = False) -> int:
    """List the experiments of this machine."""
    from virtboost.cli.output import print_document
    from virtboost.report.experiment import list_lines

    found = _store().experiments()
    document = {"schema": "virtboost.experiments/1", "experiments": found}
    print_document(document, lambda width: list_lines(found), json=json)
    return 0


def show_(
    number: Number,
    *,
    output: Output = None,
    html: HtmlFile = None,
    winners: Winners = None,
    json: AsJson = False,
) -> int:
    """Tell what an experiment says, from the runs that are kept of it."""
    from virtboost.prove.conduct import told

    store = _store()
    return _out(told(store, store.experiment(number)), _writer(output, html, winners), json=json)


def compare(
    first: Annotated[int, typer.Argument(metavar="N", help="Of one experiment.")],
    second: Annotated[int, typer.Argument(metavar="M", help="Of another.")],
    *,
    json: AsJson = False,
) -> int:
    """Hold the verdicts of two experiments side by side."""
    from virtboost.cli.output import print_document
    from virtboost.prove.conduct import told
    from virtboost.prove.contrast import contrasts
    from virtboost.report.experiment import contrast_lines

    store = _store()
    found = contrasts(*(told(store, store.experiment(each)) for each in (first, second)))
    document = {"schema": "virtboost.contrasts/1", "contrasts": found}
    print_document(document, lambda width: contrast_lines(found, width=width), json=json)
    return 0


def workloads(*, json: AsJson = False) -> int:
    """List the workloads that virtboost knows, with their options and figures."""
    from virtboost.cli.output import print_document
    from virtboost.prove.shipped import WORKLOADS
    from virtboost.report.workloads import workload_lines

    known = WORKLOADS.values()
    document = {
        "schema": "virtboost.workloads/1",
        "workloads": [
            {
                "name": each.name,
                "meaning": each.meaning,
                "metrics": each.metrics,
                "options": [
                    {"name": option.name, "meaning": option.meaning, "default": option.default}
                    for option in each.options
                ],
            }
            for each in known
        ],
    }
    print_document(document, lambda width: workload_lines(known, width=width), json=json)
    return 0


def _store() -> Store:
    from virtboost.cli.changes import state_folder
    from virtboost.prove.store import Store

    return Store(state_folder())


@contextmanager
def _experiments(host: str) -> Iterator[tuple[Store, Place]]:
    """Give the store and a host that nobody else on this machine experiments on meanwhile."""
    from virtboost.cli.changes import journal, writable
    from virtboost.prove.host import Place
    from virtboost.prove.place import program_at
    from virtboost.scan.kernel import NAME, parse_hostname
    from virtboost.transport.local import LocalReader

    both, kept = writable(host), journal()
    program = _program(both.reader.name)
    with kept.lock(f"experiments on {both.reader.name}"):
        yield (
            _store(),
            Place(
                *both,
                kept,
                parse_hostname(both.reader.read(NAME)),
                lambda at: program_at(at, program, _program),
                boots=not isinstance(both.reader, LocalReader),
            ),
        )


def _program(host: str) -> Program:
    from virtboost.transport.program import local_program, ssh_program

    return local_program if host == "local" else ssh_program(host, control_directory())


def _require_reachable(asked: Spec, place: Place) -> None:
    """Refuse places that are none, and settings to be watched that are not there.

    Raises:
        InputError: There is one.
    """
    from virtboost.apply.preflight import read_now

    for workload in asked.workloads:
        place.program_at(workload.at)
    missing = set(asked.watch) - read_now(place.reader, asked.watch).keys()
    if missing:
        raise InputError(f"watch: {min(missing)}: is not there, or says nothing")


def _carried_out(
    store: Store, place: Place, about: About, write: Callable[[Experiment], None], *, json: bool
) -> int:
    from virtboost.prove.conduct import carry_out
    from virtboost.prove.runner import RebootNeeded

    try:
        with _signals():
            found = carry_out(store, place, about, _tell)
    except KeyboardInterrupt:
        _warn(f"the host is as it was; virtboost prove resume {about.id} goes on")
        raise
    except RebootNeeded:
        sys.stderr.write(
            f"virtboost: boot this host, and then: virtboost prove resume {about.id}\n"
        )
        return 0
    return _out(found, write, json=json)


@contextmanager
def _signals() -> Iterator[None]:
    """Let what ends a program, and the end of its terminal, be an interruption meanwhile."""
    import signal

    kinds = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(each, signal.default_int_handler) for each in kinds]
    try:
        yield
    finally:
        for each, handler in zip(kinds, before, strict=True):
            signal.signal(each, handler)


def _out(found: Experiment, write: Callable[[Experiment], None], *, json: bool) -> int:
    """Print what an experiment says, and write the files that were asked for."""
    from virtboost.cli.output import print_document
    from virtboost.report.experiment import experiment_lines

    _tell("")
    print_document(found, lambda width: experiment_lines(found, width=width), json=json)
    write(found)
    bad = any(each.outcome in ("worse", "failed") for each in found.verdicts)
    return NOT_BETTER if bad else 0


def _writer(
    output: Path | None, html: Path | None, winners: Path | None
) -> Callable[[Experiment], None]:
    """Return what writes the files that were asked for; what it lacks is told before any run.

    Raises:
        InputError: A library is not installed, or a folder is not there.
    """
    from virtboost.cli.userfile import write_document

    for path in (output, html, winners):
        if path is not None and not path.resolve().parent.is_dir():
            raise InputError(f"{path}: cannot be written: there is no such folder")

    page = None if html is None else _page()

    def write(found: Experiment) -> None:
        from virtboost.cli.reports import write_page
        from virtboost.prove.conclude import winning

        if output is not None:
            write_document(output, found)
        if html is not None and page is not None:
            write_page(html.resolve(), page(found))
        if winners is not None:
            write_document(winners, winning(found))

    return write


def _page() -> Callable[[Experiment], str]:
    from datetime import datetime

    try:
        from virtboost.report.experiment_page import experiment_page
    except ImportError as error:
        raise InputError(
            "--html needs jinja2 and matplotlib: pip install 'virtboost[report]'"
        ) from error
    return lambda found: experiment_page(found, made_at=datetime.now().astimezone())


def _warn(text: str) -> None:
    from virtboost.report.printable import printable

    sys.stderr.write(f"virtboost: {printable(text)}\n")


def _tell(text: str) -> None:
    from virtboost.report.printable import printable

    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{printable(text)}")


class _RunByDefault(TyperGroup):
    """A group in which the word ``run`` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word in where the first is none of the group's."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = application(
    cls=_RunByDefault,
    help="Which changes are better? Measured, with them and without, in turn.",
)
add_verb(app, run)
add_verb(app, resume)
add_verb(app, list_, "list")
add_verb(app, show_, "show")
add_verb(app, compare)
add_verb(app, workloads)
