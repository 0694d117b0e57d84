"""What a host could take, and would be the worse for: refused before anything is written.

A table: paths of settings, what else is to be read of the host for them, and what is wrong with a
value in the light of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from virtboost.emit.setting import Setting
from virtboost.model.cpuset import CpuSet
from virtboost.model.wording import size
from virtboost.transport.source import Capture, Command, Files, Source

Values = Mapping[str, str]
"""What settings say now, by path."""


class Rule(Struct, frozen=True, kw_only=True):
    """What is looked at for the settings whose paths match."""

    path: re.Pattern[str]
    needs: Callable[[re.Match[str]], tuple[Source, ...]]
    wrong: Callable[[Setting, str, re.Match[str], Capture], str | None]
    """Says what is wrong with a setting that says this now; None: nothing."""


def needs(path: str) -> Iterator[Source]:
    """Yield what is to be read to judge a value of a setting."""
    for rule, match in _rules(path):
        yield from rule.needs(match)


def refusals(wanted: Mapping[str, Setting], now: Values, capture: Capture) -> Sequence[str]:
    """Return what is wrong with the values that settings are to have, in a line each."""
    found = [
        f"{path}: {problem}"
        for path, setting in wanted.items()
        for rule, match in _rules(path)
        if (problem := rule.wrong(setting, now[path], match, capture))
    ]
    return [*found, *_short_of_memory(wanted, now, capture)]


def _rules(path: str) -> Iterator[tuple[Rule, re.Match[str]]]:
    for rule in _RULES:
        if match := rule.path.match(path):
            yield rule, match


_ONLINE = Files("/sys/devices/system/cpu", ("online",))
_POOL = re.compile(r"(/sys/devices/system/node/node(\d+))/hugepages/hugepages-(\d+)kB/nr_hugepages")
_RESERVE = Files("/proc/sys/vm", ("min_free_kbytes",))


def _offline(setting: Setting, _: str, __: re.Match[str], capture: Capture) -> str | None:
    wanted, online = setting.read(setting.value), capture.text(_ONLINE, "online")
    if online is None or not isinstance(wanted, CpuSet):
        return None
    missing = wanted - CpuSet.parse(online)
    return f"CPUs {missing} are not online" if missing else None


def _choices(setting: Setting, now: str, _: re.Match[str], __: Capture) -> str | None:
    """Tell of a word that a file with one of its words in brackets does not offer."""
    words = now.replace("[", "").replace("]", "").split()
    if setting.form != "choice" or "[" not in now or setting.value in words:
        return None
    return f"{setting.value!r} is none of {', '.join(words)}"


def _governors(match: re.Match[str]) -> Files:
    return Files(match[1], ("scaling_available_governors",))


def _governor(setting: Setting, _: str, match: re.Match[str], capture: Capture) -> str | None:
    offered = capture.text(_governors(match), "scaling_available_governors")
    if offered is None or setting.value in offered.split():
        return None
    return f"{setting.value!r} is none of {', '.join(offered.split())}"


def _pool(match: re.Match[str]) -> tuple[Source, ...]:
    folder = match[0].removesuffix("/nr_hugepages")
    return Files(folder, ("free_hugepages",)), Files(match[1], ("meminfo",)), _RESERVE


def _in_use(setting: Setting, now: str, match: re.Match[str], capture: Capture) -> str | None:
    """Tell of a pool that would lose pages which somebody uses: they become surplus pages."""
    free = capture.text(Files(match[0].removesuffix("/nr_hugepages"), ("free_hugepages",)),
                        "free_hugepages")  # fmt: skip
    used = 0 if free is None else int(now) - int(free)
    return f"{used} of its pages are in use" if int(setting.value) < used else None


def _short_of_memory(wanted: Mapping[str, Setting], now: Values, capture: Capture) -> Iterator[str]:
    """Yield the nodes that cannot give the pages which their pools are to have more."""
    need: dict[tuple[str, str], int] = {}
    for path, setting in wanted.items():
        if match := _POOL.fullmatch(path):
            more = (int(setting.value) - int(now[path])) * int(match[3])
            need[match[1], match[2]] = need.get((match[1], match[2]), 0) + more
    for (folder, node), kib in need.items():
        there = _available_kib(capture, folder)
        if there is not None and kib > there:
            yield (
                f"node {node}: {size(kib << 10)} of huge pages are wanted, and "
                f"{size(max(there, 0) << 10)} can be taken"
            )


_COUNTED = ("MemFree", "Active(file)", "Inactive(file)", "SReclaimable")


def _available_kib(capture: Capture, folder: str) -> int | None:
    """Return what a node can give: free memory and caches, less what the kernel keeps for itself.

    As ``MemAvailable`` of proc_meminfo(5), of one node, but with all of the page cache counted.
    """
    text = capture.text(Files(folder, ("meminfo",)), "meminfo")
    if text is None:
        return None
    told = dict(re.findall(r"^Node \d+ (\S+):\s+(\d+)", text, re.MULTILINE))
    reserve = capture.text(_RESERVE, "min_free_kbytes")
    return sum(int(told.get(name, 0)) for name in _COUNTED) - int(reserve or 0)


_USAGE = (
    'p=$("$1" inspect --format "{{.State.Pid}}" -- "$2") && [ "$p" != 0 ] || exit 1; '
    'while IFS=: read -r _ c g; do case "$c" in '
    "memory) d=/sys/fs/cgroup/memory$g; f=memory.usage_in_bytes;; "
    '"") d=/sys/fs/cgroup$g; f=memory.current;; *) continue;; esac; '
    '[ -r "$d/$f" ] && cat "$d/$f" && sed -n "s/^\\(total_\\)*inactive_file //p" "$d/memory.stat" '
    '&& exit; done <"/proc/$p/cgroup"'
)
"""What ``docker stats`` calls the memory usage: usage, and the file pages to be taken off it
(https://docs.docker.com/reference/cli/docker/container/stats/)."""


def _usage(match: re.Match[str]) -> Command:
    words = (match[1], match[2].strip("'"))
    return Command(f"usage of {match[2]}", ("sh", "-c", _USAGE, "sh", *words))


def _starved(setting: Setting, _: str, match: re.Match[str], capture: Capture) -> str | None:
    numbers = [int(word) for word in (capture.stdout(_usage(match)) or "").split()]
    limit = int(setting.value.split()[0])
    used = numbers[0] - numbers[-1] if len(numbers) > 1 else 0
    return f"it uses {size(used)}, more than {size(limit)}" if used > limit > 0 else None


_RULES = (
    Rule(
        path=re.compile(r"/proc/irq/|/sys/class/net/|(?:vcpu|emulator|iothread)pin |cpuset-cpus "),
        needs=lambda _: (_ONLINE,),
        wrong=_offline,
    ),
    Rule(path=re.compile("/sys/"), needs=lambda _: (), wrong=_choices),
    Rule(
        path=re.compile("(/sys/devices/system/cpu/cpu[0-9]+/cpufreq)/scaling_governor"),
        needs=lambda match: (_governors(match),),
        wrong=_governor,
    ),
    Rule(path=_POOL, needs=_pool, wrong=_in_use),
    Rule(
        path=re.compile("memory (docker|podman) (.+)"),
        needs=lambda match: (_usage(match),),
        wrong=_starved,
    ),
)
