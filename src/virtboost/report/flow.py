"""A traversal for a terminal: its steps, the entry that it becomes, and what that depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from virtboost.flow.explain import ExplainedEntry, Explanation
from virtboost.flow.offload import Offload
from virtboost.flow.survey import Survey
from virtboost.flow.switch import Switch
from virtboost.model.wording import size
from virtboost.report.columns import wrapped
from virtboost.report.printable import printable

SHOWN = 10
"""Suspicious masks and rules that are printed; the document has all."""

_KIND = 12
"""Columns of the word for a step."""


def explanation_lines(found: Explanation, *, width: int) -> Iterator[str]:
    """Yield the traversals of a packet and of its answer.

    Args:
        found: What was explained.
        width: Columns of the terminal.
    """
    for name, entry in (("the packet", found.forward), ("its answer", found.reverse)):
        if entry is not None:
            yield from _entry(name, entry, width)
            yield ""
    for refusal in found.refusals:
        yield from wrapped(f"cannot be normalised: {refusal}", width)
    if found.normalised:
        directions = [each for each in (found.forward, found.reverse) if each is not None]
        counts = " and ".join(str(each.lookups) for each in directions)
        yield f"normalised: {counts} lookups of megaflows and connections become 1"


def survey_lines(found: Survey, *, width: int) -> Iterator[str]:
    """Yield what a dump says of its traffic.

    Args:
        found: What was found.
        width: Columns of the terminal.
    """
    yield from _switch(found.switch, width)
    yield f"{found.megaflows:,} megaflows, {found.connections:,} connections"
    share = found.normalised_packets / found.packets if found.packets else 0.0
    yield from wrapped(
        f"{share:.1%} of {found.packets:,} packets ({size(found.normalised_bytes)} of "
        f"{size(found.bytes)}) are on traversals that become one lookup",
        width,
    )
    if found.lookups_now is not None and found.lookups_then is not None:
        yield from wrapped(
            f"lookups of megaflows and connections for a packet: {found.lookups_now:.2f} now, "
            f"{found.lookups_then:.2f} then",
            width,
        )
    yield f"masks: {found.masks:,}; at most {found.most_masks:,} for one packet"
    for each in found.hindrances:
        blamed = f"; OpenFlow cookies {', '.join(each.cookies)}" if each.cookies else ""
        text = (
            f"{each.packets:,} packets, {each.megaflows:,} megaflows: {each.text}{blamed}; "
            f"such as {each.example}"
        )
        yield from wrapped(f"R{each.reason:02d} {text}", width, hang=4)
    for mask in found.suspicious[:SHOWN]:
        text = f"{mask.megaflows:,} megaflows differ in {mask.field}, such as {mask.example}"
        yield from wrapped(f"suspicious: {mask.in_port}: {text}", width, hang=4)
    for text in found.advice:
        yield from wrapped(f"advice: {text}", width, hang=4)


def _switch(switch: Switch, width: int) -> Iterator[str]:
    if switch.name is None:
        return
    kinds = Counter(port.kind for port in switch.ports)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    yield from wrapped(f"{switch.name}: {len(switch.ports)} ports ({told})", width)
    for tunnel in switch.tunnels[:SHOWN]:
        options = ", ".join(f"{key}={value}" for key, value in sorted(tunnel.options.items()))
        text = f"tunnel {tunnel.name} of {tunnel.bridge}: {tunnel.kind} {options}"
        yield from wrapped(text, width, indent=2)
    if len(switch.tunnels) > SHOWN:
        yield f"  and {len(switch.tunnels) - SHOWN:,} tunnels more"


def offload_lines(found: Offload, *, width: int) -> Iterator[str]:
    """Yield the rules of a NIC, as commands, and why others are none.

    Args:
        found: What was found.
        width: Columns of the terminal; commands are not broken.
    """
    yield from wrapped(
        f"# {found.nic}: both directions of {found.fitting:,} of {found.connections:,} "
        "connections fit",
        width,
    )
    for entry in found.entries:
        if entry.command is not None:
            yield printable(entry.command)
        for reason in entry.reasons:
            yield from wrapped(f"# from {entry.in_port}: does not fit: {reason}", width, hang=4)
    for note in sorted({note for entry in found.entries for note in entry.notes}):
        yield from wrapped(f"# note: {note}", width, hang=4)
    for refusal in found.refusals[:SHOWN]:
        yield from wrapped(f"# cannot be normalised: {refusal}", width, hang=4)
    if len(found.refusals) > SHOWN:
        yield f"# {len(found.refusals) - SHOWN:,} refusals more; --json has all"


def _entry(name: str, entry: ExplainedEntry, width: int) -> Iterator[str]:
    yield from wrapped(f"{name} comes in at {entry.in_port}", width)
    number = 0
    for step in entry.steps:
        number += step.kind == "lookup"
        mark = str(number) if step.kind == "lookup" else ""
        yield from _row(mark, step.kind, step.text, width)
    yield "  one entry:"
    for word, texts in (
        ("key", entry.key),
        ("guards", entry.guards),
        ("actions", entry.actions),
        ("depends on", entry.depends_on),
    ):
        separator = ", " if word in ("key", "guards") else "; "
        yield from _row("", word, separator.join(texts), width)


def _row(mark: str, word: str, text: str, width: int) -> Iterator[str]:
    margin = f"{mark:>3} {word:<{_KIND}}"
    for line in wrapped(text, width - len(margin), hang=0):
        yield f"{margin}{line}"
        margin = " " * len(margin)
