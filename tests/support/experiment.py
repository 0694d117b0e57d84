"""Experiments on a host that is made up: its figures depend on what is in force."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from virtboost.model.userfile import from_yaml
from virtboost.prove.result import About, Block, Cost, Experiment, Run
from virtboost.prove.runner import Measured, Runner
from virtboost.prove.spec import Spec, Workload

SPEC = """
factors:
- {name: fast, changes: [{kind: sysctl, name: vm.swappiness, value: '1'}]}
workloads:
- name: copy
  command: [run]
  metrics: [{name: rate, pattern: '(.*)', better: higher, unit: MB/s}]
null_blocks: 0
warmups: 0
"""

Figure = Callable[[Sequence[str]], float | str]
"""Of what is in force: a figure, or why there is none."""


def spec(text: str = SPEC, **more: object) -> Spec:
    lines = "".join(f"{key}: {value}\n" for key, value in more.items())
    return from_yaml(text + lines, Spec, "spec.yaml")


class Host:
    """A host whose figures depend on what is in force."""

    def __init__(self, figure: Figure, **settings: str) -> None:
        self.in_force: Sequence[str] = ()
        self.put_calls = 0
        self.values = settings
        self._figure = figure

    def put(self, in_force: Sequence[str]) -> bool:
        self.put_calls += in_force != self.in_force
        self.in_force = in_force
        return False

    def settings(self, changing: Collection[str]) -> Mapping[str, str]:
        return dict(self.values)

    def lost(self, in_force: Sequence[str]) -> str | None:
        return self.values.get("lost") if in_force else None

    def measure(self, workload: Workload) -> Measured:
        told = self._figure(self.in_force)
        figures = {each.name: told for each in workload.metrics if isinstance(told, float)}
        problem = told if isinstance(told, str) else None
        cost = Cost(cpu_s=0.01, context_switches=3, read_bytes=100)
        return Measured("2026-01-01T00:00:00", 2.0, figures, problem, None, None, cost)


class Log:
    """Runs in memory."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.blocks: list[Block] = []

    def add(self, run: Run) -> None:
        self.runs.append(run)

    def end(self, block: Block) -> None:
        self.blocks.append(block)


def carried_out(
    host: Host, asked: Spec, log: Log | None = None, *, rebooted: bool = False
) -> Experiment:
    log = log or Log()
    runner = Runner(asked, host, log, lambda text: None)
    ended = runner.go(rebooted=rebooted)
    about = About(
        id=1,
        host="local",
        hostname="kp1",
        began_at="2026-01-01T00:00:00",
        spec=asked,
        published={},
        ended=ended,
        boot=None,
    )
    return runner.course.experiment(about, log.runs, log.blocks)
