"""Workloads that virtboost knows: figures in what the programs really print, options, mistakes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from virtboost.prove.figure import NoFigure, figure
from virtboost.prove.shipped import WORKLOADS, known
from virtboost.prove.shipped.form import Shipped
from virtboost.prove.spec import Metric, Workload

CASES = Path(__file__).parents[2] / "cases" / "prove"

FIGURES = [
    ("stress-ng-cpu", "stress-ng-cpu", {"rate": 4283.19}),
    ("stress-ng-stream", "stress-ng-stream", {"read rate": 21099.11}),
    ("stress-ng-switch", "stress-ng-switch", {"rate": 32063.79}),
    ("sysbench-cpu", "sysbench-cpu", {"rate": 5066.55}),
    ("sysbench-memory", "sysbench-memory", {"rate": 7649.82}),
    ("sysbench-threads", "sysbench-threads", {"events": 2465}),
    ("fio", "fio", {"iops": 26485.514486, "bandwidth": 108484667, "p99": 90624}),
    ("iperf3", "iperf3", {"bandwidth": 18703154751.030586}),
    ("iperf3", "iperf3-udp", {"bandwidth": 7586225662.4161921}),
    ("redis-benchmark", "redis-benchmark", {"set": 103626.94, "get": 68965.52}),
    ("pgbench", "pgbench", {"tps": 1969.950283, "latency": 5.076}),
]
"""Read in the recorded outputs by eye; of fio the sums of reads and writes."""


def use(name: str, /, **options: str | int | float) -> Workload:
    return known(Workload(name="asked", use=name, options=options))


def script(workload: Workload) -> str:
    assert workload.command[:2] == ("sh", "-c")
    return workload.command[2]


@pytest.mark.parametrize(
    ("name", "case", "expected"), FIGURES, ids=[case for _, case, _ in FIGURES]
)
def test_figures_of_recorded_outputs(name: str, case: str, expected: dict[str, float]) -> None:
    output = (CASES / f"{case}.txt").read_text()
    found = {each.name: figure(each, output) for each in WORKLOADS[name].metrics}
    assert found == pytest.approx(expected)


TOO_SHORT = "stress-ng: info:  [7] stream: run duration too short to determine memory rate\n"
NEWER = """\
stress-ng: metrc: [9] switch           500000      2.00      0.30      2.10    250000.50      208333.33        79.41          1296
stress-ng: metrc: [9] switch              4000.00 nanosecs per context switch (pipe method) (harmonic mean of 1 instance)
stress-ng: metrc: [9] stream             12000.25 MB per sec memory read rate (harmonic mean of 2 instances)
stress-ng: metrc: [9] stream              8000.50 MB per sec memory write rate (harmonic mean of 2 instances)
"""
"""Columns and words of later versions; the numbers are made up."""


@pytest.mark.parametrize("mark", ["metrc", "info"])
@pytest.mark.parametrize(
    ("name", "expected"), [("stress-ng-switch", 250000.50), ("stress-ng-stream", 12000.25)]
)
def test_what_other_versions_of_stress_ng_print(name: str, expected: float, mark: str) -> None:
    (metric,) = WORKLOADS[name].metrics
    assert figure(metric, NEWER.replace("metrc", mark)) == expected


def test_a_bandwidth_that_stress_ng_could_not_tell() -> None:
    (metric,) = WORKLOADS["stress-ng-stream"].metrics
    with pytest.raises(NoFigure):
        figure(metric, TOO_SHORT)


@pytest.mark.parametrize("shell", [("sh",), ("busybox", "sh")], ids=["sh", "busybox"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_the_script_is_one_of_any_shell(name: str, shell: tuple[str, ...]) -> None:
    try:
        subprocess.run((*shell, "-n"), input=script(use(name)), text=True, check=True)
    except FileNotFoundError:
        pytest.skip(f"not installed: {shell[0]}")


@pytest.mark.parametrize("shipped", WORKLOADS.values(), ids=WORKLOADS)
def test_the_script_uses_every_option(shipped: Shipped) -> None:
    text = script(use(shipped.name))
    for option in shipped.options:
        assert re.search(rf"\$\{{?{option.name}\b", text), option.name


@pytest.mark.parametrize("shipped", WORKLOADS.values(), ids=WORKLOADS)
def test_every_figure_and_option_says_what_it_means(shipped: Shipped) -> None:
    assert all(each.meaning and "\n" not in each.meaning for each in shipped.options)
    assert shipped.metrics
    assert all(each.meaning for each in shipped.metrics)
    assert shipped.meaning[0].isupper()


@pytest.mark.parametrize("shipped", WORKLOADS.values(), ids=WORKLOADS)
def test_a_program_that_is_not_there(shipped: Shipped) -> None:
    done = subprocess.run(
        ("/bin/sh", *use(shipped.name).command[1:]),
        env={"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    missing = f"{shipped.program}: not found; Debian package {shipped.package}"
    if shipped.program == "cc":
        missing = "no C compiler (cc); Debian package gcc"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, missing)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("streem", {}, "asked: no workload 'streem'; did you mean 'stream'?"),
        ("xyz", {}, "asked: no workload 'xyz'"),
        ("chase", {"page": "huge"}, "asked: chase: no option 'page'; did you mean 'pages'?"),
        ("chase", {"pages": 4}, "asked: chase: pages: a text, and not 4"),
        (
            "chase",
            {"pages": "hugs"},
            "asked: chase: pages: any, base, huge, transparent, and not 'hugs'",
        ),
        ("chase", {"mebibytes": "64"}, "asked: chase: mebibytes: a number, and not '64'"),
        ("chase", {"seconds": float("nan")}, "asked: chase: seconds: 0.01 or more, and not nan"),
        ("chase", {"seconds": float("inf")}, "asked: chase: seconds: 0.01 or more, and not inf"),
        ("chase", {"cpu_node": -1}, "asked: chase: cpu_node: 0 or more, and not -1"),
        ("chase", {"cpu_node": True}, "asked: chase: cpu_node: a whole number, and not True"),
        ("fio", {"seconds": -(10**400)}, f"asked: fio: seconds: 1 or more, and not {-(10**400)}"),
        ("fio", {"seconds": 1.5}, "asked: fio: seconds: a whole number, and not 1.5"),
        ("fio", {"direct": 2}, "asked: fio: direct: 0, 1, and not 2"),
        ("fio", {"bs": "4\0k"}, "asked: fio: bs: a text without a null character"),
        (
            "iperf3",
            {"server_command": "ip 'netns"},
            'asked: iperf3: server_command: No closing quotation: "ip \'netns"',
        ),
    ],
)
def test_mistakes(name: str, options: dict[str, str | int | float], problem: str) -> None:
    with pytest.raises(ValueError) as raised:
        use(name, **options)
    assert str(raised.value) == problem


def test_a_command_of_ones_own_is_as_it_was() -> None:
    metric = Metric(name="rate", pattern="(.*)", better="higher")
    workload = Workload(name="own", command=("echo", "5"), metrics=(metric,))
    assert known(workload) is workload


def test_metrics_of_ones_own_take_the_place_of_the_known_ones() -> None:
    metric = Metric(name="p99", pattern=r'"GET",(?:"[\d.]+",){5}"([\d.]+)"', better="lower")
    workload = known(Workload(name="own", use="redis-benchmark", metrics=(metric,)))
    assert workload.metrics == (metric,)
    assert (workload.use, workload.options) == ("", {})
    assert figure(metric, (CASES / "redis-benchmark.txt").read_text()) == 6.447


HOSTILE = """a 'b' "c" $(exit 7) `exit 7` \\ ; exit 7\n*"""


@pytest.mark.parametrize(
    ("name", "option", "argument"),
    [
        ("fio", "bs", f"--bs={HOSTILE}"),
        ("pgbench", "database", HOSTILE),
        ("sysbench-memory", "block", f"--memory-block-size={HOSTILE}"),
    ],
)
def test_a_text_reaches_the_program_as_it_is(
    tmp_path: Path, name: str, option: str, argument: str
) -> None:
    program = tmp_path / WORKLOADS[name].program
    program.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    program.chmod(0o755)
    running = {"host": "::1"} if name == "pgbench" else {}
    # Without programs of the system there is no other pgbench either.
    done = subprocess.run(
        ("/bin/sh", *use(name, **{option: HOSTILE}, **running).command[1:]),
        env={"PATH": f"{tmp_path}:{_only(tmp_path, 'mktemp', 'rm', 'setpriv')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert argument in done.stdout.split("\0")


def test_words_before_a_server_are_those_of_a_shell(tmp_path: Path) -> None:
    (line,) = re.findall(
        "(?m)^server_command=.*", script(use("iperf3", server_command="a 'b c' $d"))
    )
    shown = 'eval "set -- $server_command"; printf "%s\\n" "$@"'
    done = subprocess.run(
        ("sh", "-c", f"{line}\n{shown}"), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["a", "b c", "$d"]


def _only(folder: Path, *programs: str) -> Path:
    """Return a folder with these programs of the system."""
    made = folder / "system"
    made.mkdir()
    for each in programs:
        if found := shutil.which(each):
            (made / each).symlink_to(found)
    return made
