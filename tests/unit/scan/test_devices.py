"""PCI functions, interfaces, interrupts and disks from whatever a host may write."""

import json
import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtboost.model.document import from_json, to_json
from virtboost.model.host import Host
from virtboost.scan import block, host, irq, net, pci
from virtboost.transport.source import Capture, Command, Entries, Files, Links, Output, Source

SOURCES: tuple[Source, ...] = (*pci.SOURCES, *net.SOURCES, *irq.SOURCES, *block.SOURCES)

NAMES = ("0000:01:00.0", "0000:01:00.1", "eth0", "0", "7", "nvme0n1", "nvme0c1n1")
TEXTS = (
    "-1",
    "0",
    "9" * 30,
    "18446744073709551615",
    "1,00000000",
    "0xffffffff",
    "8.0 GT/s PCIe",
    "²",
    "DRIVER=hns3\nPCI_CLASS=20000\nPCI_ID=19E5:A222",
    "/sys/devices/pci0000:00/0000:01:00.0/net/eth0",
    "/sys/devices/pci0000:00/0000:01:00.0/virtio0/net/eth0",
    "CPU0 CPU1\n 7: 1 0 PCI-MSI 1-edge eth0\n 8: 1 ² x\n 9: 9999999999999999 1 a",
    "Channel parameters for eth0:\nCombined: 9\nCurrent hardware settings:\nCombined: -3",
    "Features for eth0:\nhw-tc-offload: off [fixed]",
)
word = st.sampled_from(NAMES) | st.text(
    st.characters(exclude_characters="/\n", exclude_categories=["Cs"]), min_size=1, max_size=8
)
text = (
    st.sampled_from(TEXTS) | st.text(max_size=40) | st.text(string.digits + " :-,\n", max_size=40)
)


def _entries(source: Files | Links) -> st.SearchStrategy[Entries]:
    parts = source.directory.split("*")
    directory = st.lists(word, min_size=len(parts) - 1, max_size=len(parts) - 1).map(
        lambda words: "".join(
            part.removesuffix("[0-9]") + filler
            for part, filler in zip(parts, [*words, ""], strict=True)
        )
    )
    names = word if any("*" in name for name in source.names) else st.sampled_from(source.names)
    return st.dictionaries(directory, st.dictionaries(names, text, max_size=2), max_size=2)


@st.composite
def captures(draw: st.DrawFn) -> Capture:
    entries = {s: draw(_entries(s)) for s in SOURCES if not isinstance(s, Command)}
    outputs = {
        s: tuple(
            Output(draw(st.integers(0, 1)), draw(text)) for _ in range(draw(st.integers(0, 2)))
        )
        for s in SOURCES
        if isinstance(s, Command)
    }
    return Capture(entries, outputs, ())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(captures())
def test_any_text_gives_a_document_that_reads_back(capture: Capture) -> None:
    found = host.parse(capture)
    document = to_json(found)
    assert json.loads(document)["schema"] == "virtboost.host/1"
    assert from_json(document, Host, "test") == found


def test_nothing_told_is_told_as_gaps() -> None:
    gaps = {gap.what for gap in host.parse(Capture({}, {}, ())).gaps}
    assert gaps >= {"PCI devices", "network interfaces", "interrupts", "disks"}
