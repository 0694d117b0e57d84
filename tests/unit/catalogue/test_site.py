"""The site's file: what it changes, what it adds, and what is said of its mistakes."""

import re
from collections.abc import Mapping

import pytest

from support.cases import patched_host
from virtboost.catalogue.catalogue import ITEMS
from virtboost.catalogue.site import Site, with_site
from virtboost.check.judge import check
from virtboost.errors import InputError
from virtboost.model.change import KernelFile, Sysctl
from virtboost.model.finding import Result
from virtboost.model.userfile import from_yaml

OWN = """
own:
  - id: site.own
    title: The site's own
    look_at: {look_at}
    wanted: "{wanted}"
    {more}
"""


def judge(text: str, host: Mapping[str, object]) -> dict[str, Result]:
    items = with_site((), from_yaml(text, Site, "site.yaml"), "site.yaml")
    return {result.object: result for result in check(patched_host(host), items, name="h").results}


def own(look_at: str, wanted: str, more: str = "") -> str:
    return OWN.format(look_at=look_at, wanted=wanted, more=more)


def test_severity_and_wanted_value_of_the_catalogue_change() -> None:
    text = "items: {memory.thp: {wanted: madvise, severity: advice}}"
    changed = {i.id: i for i in with_site(ITEMS, from_yaml(text, Site, "s"), "s")}["memory.thp"]
    assert (changed.severity, changed.wanted and changed.wanted.text) == ("advice", "madvise")


def test_an_item_that_the_site_switches_off_is_gone() -> None:
    site = from_yaml("items: {memory.thp: {enabled: false}}", Site, "s")
    assert "memory.thp" not in {item.id for item in with_site(ITEMS, site, "s")}


@pytest.mark.parametrize(
    ("look_at", "wanted", "host", "verdict", "found"),
    [
        ("sysctl:vm.swappiness", "<= 10", {"kernel": {"sysctls": {"vm.swappiness": "60"}}}, "finding", "60"),
        ("sysctl:vm.swappiness", "<= 60", {"kernel": {"sysctls": {"vm.swappiness": "60"}}}, "ok", "60"),
        ("sysctl:vm.absent", "1", {}, "not_applicable", None),
        ("argument:iommu.passthrough", "1", {"kernel": {"command_line": "iommu.passthrough=1"}}, "ok", "1"),
        ("argument:quiet", "absent", {"kernel": {"command_line": "quiet"}}, "finding", "set"),
        ("argument:quiet", "absent", {"kernel": {"command_line": None}}, "unknown", None),
        ("module:kvm.halt_poll_ns", "0", {"kernel": {"module_parameters": {"kvm": {"halt_poll_ns": "200000"}}}}, "finding", "200000"),
        ("bios:PowerPolicy", "Performance", {}, "unknown", None),
        ("bios:PowerPolicy", "Performance", {"firmware": {"bios_settings": {"PowerPolicy": "Performance"}}}, "ok", "Performance"),
        ("service:irqbalance", "inactive", {"services": [{"name": "irqbalance", "active": True, "enabled": True}]}, "finding", "active"),
        ("ovs:hw-offload", "true", {}, "not_applicable", None),
    ],
)  # fmt: skip
def test_what_an_item_looks_at(
    look_at: str, wanted: str, host: dict[str, object], verdict: str, found: str | None
) -> None:
    result = judge(own(look_at, wanted), host)["host"]
    assert (result.verdict, result.found) == (verdict, found)


def test_each_file_of_a_pattern_is_an_object_and_the_choice_in_brackets_its_value() -> None:
    host = {
        "files": {
            "/sys/block/sda/queue/scheduler": "none [mq-deadline]",
            "/sys/block/sdb/queue/scheduler": "[none] mq-deadline",
        }
    }
    results = judge(own("file:/sys/block/*/queue/scheduler", "none"), host)
    assert {name: result.verdict for name, result in results.items()} == {
        "file /sys/block/sda/queue/scheduler": "finding",
        "file /sys/block/sdb/queue/scheduler": "ok",
    }
    (change,) = results["file /sys/block/sda/queue/scheduler"].changes
    assert isinstance(change, KernelFile)
    assert (change.path, change.value) == ("/sys/block/sda/queue/scheduler", "none")


def test_a_bound_has_no_value_to_set_and_a_value_has() -> None:
    host = {"kernel": {"sysctls": {"vm.swappiness": "60"}}}
    assert judge(own("sysctl:vm.swappiness", "<= 10"), host)["host"].changes == ()
    (change,) = judge(own("sysctl:vm.swappiness", "1"), host)["host"].changes
    assert isinstance(change, Sysctl)
    assert (change.name, change.value) == ("vm.swappiness", "1")


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ("arch: aarch64", "finding"),
        ("arch: x86_64", "not_applicable"),
        ('guests: ">= 1"', "not_applicable"),
        ('nodes: ">= 2"', "finding"),
        ("cpu.generation: Kunpeng 920 | Kunpeng 950", "finding"),
        ('page_size_bytes: "65536"', "not_applicable"),
    ],
)
def test_facts_decide_whether_it_applies(facts: str, verdict: str) -> None:
    host = {"kernel": {"sysctls": {"vm.swappiness": "60"}}}
    text = own("sysctl:vm.swappiness", "1", f"applies_when: {{{facts}}}")
    assert judge(text, host)["host"].verdict == verdict


def test_a_fact_that_cannot_be_told_makes_it_unknown() -> None:
    host = {"gaps": [{"what": "guests", "path": "virsh", "reason": "permission denied"}]}
    text = own("sysctl:vm.swappiness", "1", 'applies_when: {guests: ">= 1"}')
    assert judge(text, host)["host"].verdict == "unknown"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("items: {memory.tph: {}}", "s: items: no item 'memory.tph'; did you mean 'memory.thp'?"),
        ("items: {memory.thp: {wanted: '<= many'}}", "s: items.memory.thp.wanted: '<= many' compares with 'many', not a number"),
        ("items: {memory.thp: {serverity: advice}}", "s:1: unknown key 'serverity'; did you mean 'severity'?"),
        ("items: {memory.thp: {severity: bad}}", "s:1: items.severity: Invalid enum value 'bad'"),
        (own("sysctrl:a", "1"), "s: own.site.own.look_at: 'sysctrl:a' is none of sysctl:..."),
        (own("file:/root/.ssh/id", "1"), "s: own.site.own.look_at: '/root/.ssh/id' is no path below /sys, /proc or /etc"),
        (own("file:/etc/../root/x", "1"), "s: own.site.own.look_at: '/etc/../root/x' is no path"),
        (own("file:/sys/$(reboot)", "1"), "s: own.site.own.look_at: '/sys/$(reboot)' is no path"),
        (own("sysctl:a;reboot", "1"), "s: own.site.own.look_at: 'a;reboot' is no path"),
        (own("sysctl:a", "1", "applies_when: {archh: x}"), "s: own.site.own.applies_when: no fact 'archh'; did you mean 'arch'?"),
        (own("sysctl:a", ""), "s: own.site.own.wanted: a wanted value is missing"),
        ("own: [{id: memory.thp, title: t, look_at: 'sysctl:a', wanted: '1'}]", "s: own.memory.thp: the catalogue has an item of this id"),
        ("own: [{id: a, title: t, look_at: 'sysctl:a', wanted: '1'}, {id: a, title: t, look_at: 'sysctl:a', wanted: '1'}]", "s: own: 'a' stands here twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        with_site(ITEMS, from_yaml(text, Site, "s"), "s")
