"""Rubbish in place of what programs print and files hold: something is told, nothing is raised."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.cases import CASES, capture_of, load
from virtboost.model.document import from_json, to_json
from virtboost.model.host import Host
from virtboost.scan import agent, container, guest, libvirt, ovs
from virtboost.scan.host import parse
from virtboost.transport.source import Command, Files, Source

NOUNS: dict[str, tuple[Source, ...]] = {
    "agent": agent.SOURCES,
    "container": container.SOURCES,
    "guest": guest.SOURCES,
    "libvirt": libvirt.SOURCES,
    "ovs": ovs.SOURCES,
}

FILES = {noun: sorted((CASES / "scan" / noun).glob("*.json")) for noun in NOUNS}

TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="<>&/'\"=@[]{}:,-\n\0 0123456789domainvcpu", max_size=300),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    ).map(json.dumps),
)

PIECES = ("", "-1", "9" * 30, "0x", "'", "<", "null", "[]", "é\0", "@@@", "\\ud800")


def read(case: dict[str, Any], noun: str) -> Host:
    """Parse a case; whatever comes out is a document that can be written and read."""
    host = parse(capture_of(case, NOUNS[noun]))
    assert from_json(to_json(host), Host, "host") == host
    return host


@pytest.mark.parametrize("noun", NOUNS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_text(noun: str, data: st.DataObject) -> None:
    commands = {s.name: data.draw(TEXTS) for s in NOUNS[noun] if isinstance(s, Command)}
    files = {
        f"{s.directory}/{name}".replace("*", "a"): data.draw(TEXTS)
        for s in NOUNS[noun]
        if isinstance(s, Files)
        for name in s.names
        if noun == "agent"
    }
    read({"commands": commands, "files": files}, noun)


@pytest.mark.parametrize("noun", NOUNS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_output(noun: str, data: st.DataObject) -> None:
    """A real output with a piece cut out and another put in, which comes further than rubbish."""
    case = load(data.draw(st.sampled_from(FILES[noun])))
    kind = "commands" if case.get("commands") else "files"
    texts = case.get(kind) or {"nothing": ""}
    name = data.draw(st.sampled_from(sorted(texts)))
    whole = texts[name]
    text = whole if isinstance(whole, str) else whole[0].get("stdout", "")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    put = data.draw(st.sampled_from(PIECES))
    read({**case, kind: {**texts, name: text[:start] + put + text[end:]}}, noun)


@pytest.mark.parametrize(
    "text",
    [
        "<domain>" * 100_000,
        "<domain type='kvm'><name>" + "a" * 11_000_000 + "</name></domain>",
        "<domain><name>n</name><memory>99999999999999999999</memory><vcpu>1</vcpu></domain>",
        "<domain><name>n</name><memory unit='EiB'>9</memory><vcpu>-1</vcpu></domain>",
        "<domain><name>n</name><memory>1</memory><vcpu cpuset='0-99999999'>1</vcpu></domain>",
        "<domain><name>&#x1b;[31m</name><memory>1</memory><vcpu>1</vcpu></domain>",
        "<domain xmlns='urn:x'><name>n</name><memory>1</memory><vcpu>1</vcpu></domain>",
        "<?xml version='1.0' encoding='utf-16'?><domain/>",
        '<!DOCTYPE d SYSTEM "file:///etc/passwd"><domain/>',
    ],
)
def test_hostile_xml(text: str) -> None:
    facts = "Name: n\nState: running\n@@@@@@"
    host = read({"commands": {"guests": f"{facts}{text}@@@{text}"}}, "guest")
    assert host.guests or host.gap("guests")


@pytest.mark.parametrize("text", ["[" * 60_000, "a: b\n" * 60_000])
def test_deep_or_long_yaml(text: str) -> None:
    host = read({"files": {"/var/lib/kubelet/config.yaml": text}}, "agent")
    assert host.gap("agents") is not None


NAMED = re.compile(r'gaps\.add\(\s*"([^"]+)"')


def test_gaps_that_hide_objects_are_gaps_of_the_scan() -> None:
    """A catalogue item that names a gap which no module records would say "does not apply"."""
    source = Path(__file__).parents[3] / "src" / "virtboost"
    recorded = {
        what for file in source.glob("scan/*.py") for what in NAMED.findall(file.read_text())
    }
    named = {
        what
        for file in source.glob("catalogue/*.py")
        for what in re.findall(r'\bgap="([^"]+)"', file.read_text())
    }
    assert named - recorded == set()
