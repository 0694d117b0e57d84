"""A scan of any texts at all ends with a host: hostile files and outputs never raise."""

from __future__ import annotations

import json
import re
from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.captures import HOSTS
from virtboost.model.document import from_json, to_json
from virtboost.model.host import Host
from virtboost.report.terminal import host_lines
from virtboost.scan.host import SOURCES, parse
from virtboost.transport.recorded import RecordedReader
from virtboost.transport.source import Capture, Command, Entries, Failure, Output, Source, clean

RECORDINGS = sorted(HOSTS.glob("*/host.tar*"))

WORDS = st.sampled_from(
    [
        *(
            "",
            "0",
            "1",
            "-1",
            "65535",
            "4294967295",
            "18446744073709551615",
            "9" * 400,
            "0x",
            "1e9",
        ),
        *("0-3,8", "ff,ffffffff", "(null)", "[always] madvise never", "10 21", "1.2.3", "nan", "٣"),
        *("key: value", "key=value", "{}", "[]", "[1]", '{"a": null}', '"x"', "<a/>", "<domain/>"),
        *(
            "a\tb\tc",
            "- a",
            "a: [",
            "[" * 30_000,
            "\x1b[2J\x9b",
            "\u202e",
            "x" * 5000,
            "a b c d e f g h i",
            "/",
        ),
    ]
)

TEXTS = st.one_of(
    WORDS,
    st.text(max_size=60),
    st.lists(WORDS, max_size=6).map(" ".join),
    st.lists(WORDS, max_size=6).map("\n".join),
).map(lambda text: clean(text.encode("utf-8", "replace")))

PLACES = st.sampled_from(
    ["0", "1", "7", "99999", "123456789", "x", "eth0", "0000:00:01.0", "é", ""]
)


@cache
def recorded(index: int) -> Capture:
    return RecordedReader(RECORDINGS[index]).read(SOURCES)


@st.composite
def captures(draw: st.DrawFn) -> Capture:
    """Draw a real host, or none, with many of its texts replaced."""
    base = recorded(draw(st.integers(0, len(RECORDINGS) - 1))) if draw(st.booleans()) else None
    entries = {} if base is None else dict(base.sources())
    outputs = {} if base is None else dict(base.commands())
    for source in draw(st.lists(st.sampled_from(SOURCES), max_size=12)):
        if isinstance(source, Command):
            runs = st.builds(Output, st.sampled_from((0, 0, 1, 127)), TEXTS, TEXTS)
            outputs[source] = tuple(draw(st.lists(runs, max_size=3)))
        else:
            entries[source] = draw(st.one_of(_new(source), _changed(entries.get(source, {}))))
    failures = draw(st.lists(st.builds(Failure, TEXTS, TEXTS), max_size=2))
    return Capture(entries, outputs, failures)


@st.composite
def _new(draw: st.DrawFn, source: Source) -> Entries:
    assert not isinstance(source, Command)
    entries: Entries = {}
    for _ in range(draw(st.integers(0, 4))):
        directory = re.sub(r"\[0-9\]\*|\*", lambda _: draw(PLACES), source.directory)
        names = draw(st.lists(st.sampled_from(source.names), min_size=1))
        entries[directory] = {name.replace("*", draw(PLACES)): draw(TEXTS) for name in names}
    return entries


@st.composite
def _changed(draw: st.DrawFn, entries: Entries) -> Entries:
    changed = {directory: dict(texts) for directory, texts in entries.items()}
    for directory in (
        draw(st.lists(st.sampled_from(sorted(changed)), max_size=8)) if changed else ()
    ):
        for name in draw(st.lists(st.sampled_from(sorted(changed[directory])), max_size=4)):
            changed[directory][name] = draw(TEXTS)
    return changed


@given(captures())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_capture_is_a_host(capture: Capture) -> None:
    host = parse(capture)
    document = to_json(host)
    assert from_json(document, Host, "scan") == host
    assert json.loads(document)["schema"] == "virtboost.host/1"
    for line in (*document.splitlines(), *host_lines("name", host)):
        assert line.isprintable(), "a control character reaches the terminal"
