"""Differences that are none, called one: ours, three runs each, and hyperfine; and real effects."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import nct, t, ttest_ind

from support.daemon import ask
from support.engines import engines
from support.noises import NOISES, Noise, Values, normal
from support.proving import Prover
from virtboost.prove.sequential import Looks, detectable

TITLE = "Prove"

EXPERIMENTS, BLOCKS, ALPHA = 1000, 30, 0.05

HYPERFINES, RUNS = 200, 10
"""Experiments with hyperfine, and runs of each of its two commands: what it makes at least."""

BASE_MS, NOISE_MS = 8.0, 2.0
"""Of a run: what it takes, and the deviation of what it takes more or less."""

MARGIN = 0.02

SLEEPER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(int count, char **words)
{
    FILE *state = fopen(words[2], "r+"), *series = fopen(words[1], "r");
    long run = 0;
    double ms = 0;
    if (count < 3 || !state || !series || fscanf(state, "%ld", &run) != 1)
        return 1;
    for (long each = 0; each <= run; each++)
        if (fscanf(series, "%lf", &ms) != 1)
            return 1;
    rewind(state);
    fprintf(state, "%ld\n", run + 1);
    fclose(state);
    struct timespec left = {0, (long)(ms * 1e6)};
    return nanosleep(&left, NULL);
}
"""
"""Sleeps as long as the next number of a file says: both commands are this one."""


def versions() -> Sequence[str]:
    """Return the versions of the peers."""
    return (ask("hyperfine", "--version").strip(),)


def run() -> str:
    """Simulate, then measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return f"{_false_alarms(folder)}\n\n{_planned()}\n\n{_real(folder)}"


class Alarms(NamedTuple):
    """How often each way calls a difference that is none one, in per cent."""

    ours: float
    means: float
    hyperfine: float
    welch: float


def _false_alarms(folder: Path) -> str:
    (folder / "sleeper.c").write_text(SLEEPER)
    ask("cc", "-O2", "-o", str(folder / "sleeper"), str(folder / "sleeper.c"))
    lines = [
        f"Called a difference, where both sides are the same, in % of {EXPERIMENTS} simulated "
        f"experiments ({HYPERFINES} with hyperfine, whose two commands slept that long):",
        "",
        f"| noise | prove, at most {BLOCKS} blocks | means of 3 runs each, beyond 2 % | "
        f"hyperfine, {RUNS} runs each, beyond its own ± | Welch's t of hyperfine's runs |",
        "|---|---|---|---|---|",
    ]
    looks = Looks(BLOCKS, ALPHA, seed=7)
    for noise in NOISES:
        told = _alarms(noise, looks, folder)
        lines.append(f"| {noise.__name__} | " + " | ".join(f"{each:.1f}" for each in told) + " |")
    return "\n".join(lines)


def _alarms(noise: Noise, looks: Looks, folder: Path) -> Alarms:
    rng = np.random.default_rng(1)
    series = [_times(noise, rng) for _ in range(EXPERIMENTS)]
    claims = [_hyperfine(each, folder) for each in series[:HYPERFINES]]
    return Alarms(
        _percent(looks.crossing(_differences(each, rng)) is not None for each in series),
        _percent(abs(each[3:6].mean() / each[:3].mean() - 1) > MARGIN for each in series),
        _percent(claimed for claimed, _ in claims),
        _percent(p < ALPHA for _, p in claims),
    )


def _times(noise: Noise, rng: np.random.Generator) -> Values:
    """Return what the runs of an experiment take, in milliseconds."""
    return np.asarray(np.clip(BASE_MS + NOISE_MS * noise(rng, 4 * BLOCKS), 0.1, 60))


def _differences(times: Values, rng: np.random.Generator, effect: float = 0) -> Values:
    """Return the differences of blocks A B B A and B A A B, drawn by lot."""
    first = rng.random(BLOCKS) < 0.5
    sides = np.where(first[:, None], [1, -1, -1, 1], [-1, 1, 1, -1])
    return np.asarray((times.reshape(BLOCKS, 4) * sides).sum(1) / 2 + effect)


def _hyperfine(times: Values, folder: Path) -> tuple[bool, float]:
    """Return whether hyperfine's ratio is beyond its own ±, and the p of its runs."""
    series, state, told = (folder / name for name in ("series", "state", "told.json"))
    series.write_text("\n".join(f"{each:.4f}" for each in times))
    state.write_text("0\n")
    command = f"{folder}/sleeper {series} {state}"
    printed = ask(
        *("hyperfine", "-N", "--style", "basic", "--runs", str(RUNS), "--export-json", str(told)),
        *(f"{command} {name}" for name in ("before", "after")),
    )
    ratio = re.search(r"([\d.]+) ± ([\d.]+) times", printed)
    one, two = (np.array(each["times"]) for each in json.loads(told.read_text())["results"])
    claimed = ratio is not None and float(ratio[1]) - float(ratio[2]) > 1
    return claimed, float(ttest_ind(one, two, equal_var=False).pvalue)


def _percent(found: Iterator[Any]) -> float:
    return 100 * float(np.mean([bool(each) for each in found]))


def _planned() -> str:
    """Return how many blocks the planned effect takes, beside a t-test of the same power."""
    effect, rng = detectable(BLOCKS, ALPHA), np.random.default_rng(2)
    looks = Looks(BLOCKS, ALPHA, seed=7)
    stops = [
        looks.crossing(_differences(normal(rng, 4 * BLOCKS), rng, effect))
        for _ in range(EXPERIMENTS)
    ]
    power = float(np.mean([stop is not None for stop in stops]))
    fixed = next(n for n in range(3, 100) if _power(n, effect) >= power)
    mean = float(np.mean([stop or BLOCKS for stop in stops]))
    return (
        f"An effect of {effect:.2f} deviations of a block, the planned one, is found in "
        f"{power:.0%} of experiments, after {mean:.1f} blocks on average; a t-test of that power "
        f"takes {fixed} each time."
    )


def _power(blocks: int, effect: float) -> float:
    critical = t.ppf(1 - ALPHA / 2, blocks - 1)
    return float(nct.sf(critical, blocks - 1, effect * blocks**0.5))


AFFINITY = r"""
- {name: two pCPUs for two processes, changes: [{kind: container-update, engine: docker, container: vb-prove, cpuset: 0-1}]}
workloads:
- name: pair
  command:
  - sh
  - -c
  - |
    w() { i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; }
    now() { read -r up _ </proc/uptime; up=${up%.*}${up#*.}; }
    now; begun=$up; w & w & wait; now; echo $((up - begun))
  at: container:vb-prove
  metrics: [{name: time, pattern: '(\d+)', better: lower, unit: cs}]
"""

HUGE = """
- {name: transparent huge pages always, changes: [{kind: transparent-hugepages, setting: enabled, value: always}]}
workloads:
- {name: chase, use: chase, options: {mebibytes: 512, seconds: 0.3}}
"""

LOOKING = """
- {name: not looking at the host, probes: 'off'}
workloads:
- name: sleep
  command: [sh, -c, 'sleep 1; echo 1']
  metrics: [{name: one, pattern: '(1)', better: higher}]
"""


def _real(folder: Path) -> str:
    lines = [
        "Real, on this machine (`virtboost prove`, the host against itself first):",
        "",
        "| factor | verdict | effect | blocks | the host against itself | its own load |",
        "|---|---|---|---|---|---|",
    ]
    daemons = folder / "daemons"
    daemons.mkdir()
    with engines(daemons) as found:
        found.run("vb-prove", "--cpuset-cpus", "0")
        lines.append(_proved(folder / "affinity", AFFINITY))
        found.remove("vb-prove")
    lines += [_proved(folder / "huge", HUGE), _proved(folder / "looking", LOOKING)]
    return "\n".join(lines)


def _proved(folder: Path, factor: str) -> str:
    folder.mkdir()
    found = Prover(folder).prove(f"factors:{factor}settle_s: 0\n", limit_s=1200)
    null, verdict = found["verdicts"]
    low, high = (_share(verdict, verdict[end]) for end in ("low", "high"))
    cells = (
        verdict["comparison"],
        verdict["outcome"],
        f"{low} to {high}",
        str(verdict["blocks"]),
        null["outcome"],
        f"{found['self_load']['cpu_percent']:.2g} % of a CPU",
    )
    return f"| {' | '.join(cells)} |"


def _share(verdict: dict[str, Any], end: float | None) -> str:
    return "open" if end is None else f"{100 * end / verdict['before']:+.1f} %"
