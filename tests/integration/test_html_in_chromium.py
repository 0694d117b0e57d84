"""The page in a real Chromium: its scripts run, nothing leaves it, nothing overflows, and what a
host calls itself stays text."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from msgspec import structs

from support.browser import CHROMIUM, Browser, Page
from support.experiment import SPEC, carried_out, spec
from support.experiment import Host as Bench
from support.findings import ITEMS, REPORT
from support.hostile import hostile
from support.networks import PLAIN, described
from support.rich_host import rich_host
from virtboost.catalogue.catalogue import ITEMS as CATALOGUE
from virtboost.check.judge import check
from virtboost.model.finding import Report
from virtboost.model.host import Host
from virtboost.model.userfile import from_yaml
from virtboost.net.curve import curves
from virtboost.net.description import Network
from virtboost.net.plan import DESIGNS, plan
from virtboost.net.template import NAMES as TEMPLATES
from virtboost.net.template import template
from virtboost.report.experiment_page import experiment_page
from virtboost.report.html import hosts_page
from virtboost.report.net_page import SHOWN, plan_page
from virtboost.scan.host import scan
from virtboost.transport.recorded import RecordedReader

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.xdist_group("chromium"),
]

LAB = Path(__file__).parents[1] / "hosts" / "96arm-2s4n24cl4c" / "host.tar.zst"
"""A real kernel's tree: QEMU's aarch64 machine."""

CAPTURES = Path(__file__).parents[2].parent / "shared" / "captures"

CAPTURE_NAMES = (
    "kunpeng920-2s-4n-128c.tar.bz2",
    "96em64t-4no4pa3ca2co.tar.bz2",
    "40intel64-2g2n4c+pcilocality.tar.bz2",
)

LAYOUT = """(() => {
  const problems = [];
  const name = (part) => part.className + ' ' + part.textContent.trim().slice(0, 40);
  const wide = document.scrollingElement.scrollWidth;
  if (wide > innerWidth) problems.push(`the page is ${wide} wide in ${innerWidth}`);
  for (const part of document.querySelectorAll('.box, .cpu')) {
    const around = part.parentElement.closest('.box, .machine').getBoundingClientRect();
    const own = part.getBoundingClientRect();
    if (own.left < around.left - 1 || own.right > around.right + 1 ||
        own.top < around.top - 1 || own.bottom > around.bottom + 1)
      problems.push('out of its box: ' + name(part));
    const next = part.nextElementSibling?.getBoundingClientRect();
    if (next && next.left < own.right - 1 && next.top < own.bottom - 1)
      problems.push('overlaps the next: ' + name(part));
  }
  for (const part of document.querySelectorAll('.label, .memory, .device, td, th, dd, summary, h2'))
    if (part.scrollWidth > part.clientWidth + 1) problems.push('text overflows: ' + name(part));
  return problems;
})()"""
"""What stands out of its box, overlaps its neighbour, or makes the page wider than the window."""

CONTRAST = """(() => {
  const rgb = (text) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (part) => {
    let color = null;
    const layers = [];
    for (let at = part; at; at = at.parentElement) {
      const layer = rgb(getComputedStyle(at).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    for (const layer of layers.reverse())
      color = color ? color.map((c, i) => i === 3 ? 1 : c * (1 - layer[3]) + layer[i] * layer[3]) : layer;
    return color ?? [255, 255, 255, 1];
  };
  const worst = {};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const part = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !part.checkVisibility() || part.closest('script, option, select')) continue;
    const [a, b] = [rgb(getComputedStyle(part).color), behind(part)].map(luminance).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) worst[part.className || part.tagName] = ratio.toFixed(2);
  }
  return worst;
})()"""
"""Text with less contrast than WCAG 2.2 AA asks for (4.5 to 1), by its class.

Source: https://www.w3.org/TR/WCAG22/#contrast-minimum and #dfn-relative-luminance.
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def captured(name: str) -> tuple[Host, Report]:
    if not (CAPTURES / name).exists():
        pytest.skip(f"{CAPTURES / name} is not here")
    return checked(CAPTURES / name)


def checked(path: Path) -> tuple[Host, Report]:
    host = scan(RecordedReader(path))
    return host, check(host, CATALOGUE, name=path.name)


def many_guests() -> Host:
    """Sixty guests on a host, six of them on each pCPU that has any."""
    host = rich_host()
    first = next(guest for guest in host.guests if guest.name == "web1")
    guests = (structs.replace(first, name=f"guest-{index}") for index in range(60))
    return structs.replace(host, guests=tuple(guests))


PAGES: dict[str, Callable[[], tuple[Host, Report]]] = {
    "rich": lambda: (rich_host(), REPORT),
    "hostile": lambda: (hostile(rich_host(), length=10_000), hostile(REPORT, length=10_000)),
    "many-guests": lambda: (many_guests(), REPORT),
    "lab": lambda: checked(LAB),
    **{name: partial(captured, name) for name in CAPTURE_NAMES},
}


def write(path: Path, *pairs: tuple[Host, Report]) -> str:
    page = hosts_page(pairs, [], (*CATALOGUE, *ITEMS), made_at=datetime(2026, 1, 2, tzinfo=UTC))
    file = path / "report.html"
    file.write_text(page)
    return file.as_uri()


@pytest.fixture
def rich(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    page = browser.open(write(tmp_path, (rich_host(), REPORT)))
    yield page
    page.close()


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (1024, True), (390, False)])
@pytest.mark.parametrize("name", PAGES)
def test_page(browser: Browser, tmp_path: Path, name: str, *, width: int, dark: bool) -> None:
    url = write(tmp_path, PAGES[name]())
    page = browser.open(url, width=width, dark=dark)
    assert page.evaluate("document.documentElement.dataset.ready") == "yes"
    assert page.complaints == []
    assert page.requests == [url]
    assert page.evaluate(LAYOUT) == []
    assert page.evaluate(CONTRAST) == {}
    page.close()


def test_themes_are_painted_and_differ(browser: Browser, tmp_path: Path) -> None:
    url = write(tmp_path, (rich_host(), REPORT))
    (tmp_path / "blank.html").write_text("<!DOCTYPE html>")
    blank = browser.open((tmp_path / "blank.html").as_uri())
    light, dark = browser.open(url), browser.open(url, dark=True)
    pictures = [page.screenshot() for page in (blank, light, dark)]
    assert len(set(pictures)) == 3
    assert all(len(picture) > 20 * len(pictures[0]) for picture in pictures[1:])
    paper = "getComputedStyle(document.body).backgroundColor"
    before = dark.evaluate(paper)
    assert before != light.evaluate(paper)
    dark.evaluate("document.querySelector('.theme').click()")
    assert dark.evaluate(paper) == light.evaluate(paper)
    for page in (blank, light, dark):
        page.close()


def test_paper_is_white(browser: Browser, tmp_path: Path) -> None:
    page = browser.open(write(tmp_path, (rich_host(), REPORT)), width=794, dark=True)
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.call("Emulation.setEmulatedMedia", media="print", features=[dark])
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    assert page.evaluate(CONTRAST) == {}
    assert page.evaluate("document.querySelector('.rows pre').checkVisibility()")
    assert not page.evaluate("document.querySelector('.filters').checkVisibility()")
    page.close()


def test_hostile_names_stay_text(browser: Browser, tmp_path: Path) -> None:
    page = browser.open(write(tmp_path, (hostile(rich_host()), hostile(REPORT))))
    assert page.complaints == []
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("document.images.length") == 0
    attributes = page.evaluate(
        "[...new Set([...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames()))]"
    )
    assert not [name for name in attributes if name.startswith("on")]
    text = page.evaluate("document.documentElement.outerHTML")
    assert r"web\x1b[2J\u202egnp\x0a&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in text
    assert not {char for char in text if not char.isprintable()} - {"\n"}
    page.close()


def test_policy_stops_what_is_injected(rich: Page) -> None:
    rich.evaluate(
        "document.body.insertAdjacentHTML('beforeend',"
        ' \'<img src=x onerror="window.pwned = 1"><img src="http://127.0.0.1:9/">\')'
    )
    rich.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.pwned = 2'}))"
    )
    fetched = rich.evaluate("fetch('http://127.0.0.1:9/').then(() => 'loaded', () => 'refused')")
    assert fetched == "refused"
    assert rich.evaluate("window.pwned ?? null") is None
    assert len([text for text in rich.complaints if "Content Security Policy" in text]) >= 3


def test_filters(rich: Page) -> None:
    shown = (
        "[...document.querySelectorAll('.rows tbody tr')].filter((row) => !row.hidden)"
        ".map((row) => row.id.replace('h0-', ''))"
    )
    assert rich.evaluate(shown) == ["guest.memory-strict", "memory.thp", "irq.nic-on-node"]
    rich.evaluate("document.querySelector('[value=critical]').click()")
    assert rich.evaluate(shown) == ["memory.thp", "irq.nic-on-node"]
    rich.evaluate(
        "const choice = document.querySelector('[name=platform]'); choice.value = 'docker';"
        " choice.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    assert rich.evaluate(shown) == ["irq.nic-on-node"]


def test_a_guest_is_lit_on_its_own_cpus(rich: Page) -> None:
    lit = "[...document.querySelectorAll('.cpu .on')].map((b) => +b.closest('.cpu').dataset.cpu)"
    button = "document.querySelector('button[data-w=C]')"
    rich.evaluate(f"{button}.dispatchEvent(new PointerEvent('pointerover', {{bubbles: true}}))")
    assert rich.evaluate(lit) == [36, 37, 38, 39]
    rich.evaluate(
        "document.querySelector('h2').dispatchEvent("
        "new PointerEvent('pointerover', {bubbles: true}))"
    )
    assert rich.evaluate(lit) == []
    rich.evaluate(f"{button}.click()")
    assert rich.evaluate(f"{button}.getAttribute('aria-pressed')") == "true"
    assert rich.evaluate(lit) == [36, 37, 38, 39]


def test_without_scripts_everything_is_there(browser: Browser, tmp_path: Path) -> None:
    page = browser.open(write(tmp_path, (rich_host(), REPORT)), scripts=False)
    visible = "[...document.querySelectorAll('%s')].filter((e) => e.checkVisibility()).length"
    assert page.evaluate(visible % ".rows tbody tr") == 3
    assert page.evaluate(visible % ".cpu") == 128
    assert page.evaluate(visible % ".filters") == 0
    page.evaluate("document.querySelector('.rows details').open = true")
    assert page.evaluate(visible % ".rows details pre") > 0
    page.close()


@pytest.mark.parametrize("name", CAPTURE_NAMES)
def test_cpus_stand_where_lstopo_puts_them(browser: Browser, tmp_path: Path, name: str) -> None:
    if shutil.which("lstopo-no-graphics") is None:
        pytest.skip("lstopo-no-graphics is not installed")
    page = browser.open(write(tmp_path, captured(name)))
    drawn = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.has-node')].map((node) =>"
        " [node.dataset.node, [...node.querySelectorAll('.cpu')].map((c) => +c.dataset.cpu)]))"
    )
    page.close()
    assert {int(node): set(cpus) for node, cpus in drawn.items()} == lstopo_nodes(
        CAPTURES / name, tmp_path
    )


def lstopo_nodes(capture: Path, folder: Path) -> dict[int, set[int]]:
    """Return the CPUs of each NUMA node as lstopo reads the same tree."""
    subprocess.run(["tar", "xf", capture, "-C", folder], check=True)
    tree = next(path.parent for path in folder.rglob("sys") if path.is_dir())
    printed = subprocess.run(
        ["lstopo-no-graphics", "--input", tree, "--of", "xml", "-"],
        check=True,
        capture_output=True,
    ).stdout
    nodes = ElementTree.fromstring(printed).iterfind(".//object[@type='NUMANode']")
    return {int(node.attrib["os_index"]): _bits(node.attrib["cpuset"]) for node in nodes}


def _bits(mask: str) -> set[int]:
    bits = int("".join(word.removeprefix("0x").rjust(8, "0") for word in mask.split(",")), 16)
    return {bit for bit in range(bits.bit_length()) if bits >> bit & 1}


TEN: dict[str, Any] = {
    "nodes": [{"count": 6, "racks": 2, "architecture": "aarch64"}, {"count": 4, "racks": 1}],
    "addresses": PLAIN["addresses"],
}

TEN_THOUSAND = TEN | {
    "nodes": [
        {"count": 6000, "racks": 150, "architecture": "aarch64"},
        {"count": 4000, "racks": 100},
    ]
}

NETWORKS: dict[str, Callable[[], Network]] = {
    **{name: partial(from_yaml, template(name), Network, name) for name in TEMPLATES},
    "10-nodes": partial(described, **TEN),
    "10000-nodes": partial(described, **TEN_THOUSAND),
    "24000-nodes": partial(
        described,
        nodes=[{"count": 24_000, "racks": 600}],
        addresses=PLAIN["addresses"] | {"pods": ["10.128.0.0/9"]},
    ),
}

PICTURES = """(() => {
  const problems = [];
  for (const text of document.querySelectorAll('.topology .told, .chart text')) {
    const own = text.getBoundingClientRect();
    const svg = text.closest('figure').querySelector('svg').getBoundingClientRect();
    if (own.left < svg.left - 1 || own.right > svg.right + 1 || own.top < svg.top - 1 || own.bottom > svg.bottom + 1)
      problems.push('out of its picture: ' + text.textContent);
  }
  const boxes = [...document.querySelectorAll('.topology rect.cell, .topology rect.more')].map((box) => box.getBoundingClientRect());
  for (const node of document.querySelectorAll('.topology .scroll .node')) {
    const own = node.getBoundingClientRect();
    if (!boxes.some((box) => box.left <= own.left && own.right <= box.right && box.top <= own.top && own.bottom <= box.bottom))
      problems.push('a node out of its rack');
  }
  const told = [...document.querySelectorAll('.topology .told')];
  told.forEach((text, place) => {
    const own = text.getBoundingClientRect();
    for (const other of told.slice(place + 1)) {
      const next = other.getBoundingClientRect();
      if (own.left < next.right - 1 && next.left < own.right - 1 && own.top < next.bottom - 3 && next.top < own.bottom - 3)
        problems.push(`words on words: ${text.textContent} and ${other.textContent}`);
    }
  });
  return problems;
})()"""
"""What is out of its picture, or on top of other words."""


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (1024, True), (390, False)])
@pytest.mark.parametrize("name", NETWORKS)
def test_page_of_a_network(
    browser: Browser, tmp_path: Path, name: str, *, width: int, dark: bool
) -> None:
    network = NETWORKS[name]()
    drawn, made_at = curves(network, SHOWN), datetime(2026, 1, 2, tzinfo=UTC)
    file = tmp_path / "net.html"
    file.write_text(plan_page(plan(network), network, drawn, made_at=made_at))
    page = browser.open(file.as_uri(), width=width, dark=dark)
    assert page.complaints == []
    assert page.requests == [file.as_uri()]
    assert page.evaluate(LAYOUT) == []
    assert page.evaluate(CONTRAST) == {}
    assert page.evaluate(PICTURES) == []
    assert page.evaluate("document.querySelectorAll('.topology *').length") < 500
    page.close()


@pytest.mark.parametrize("name", [name for name in DESIGNS if name != "calico-tor"])
def test_every_design_can_be_drawn(browser: Browser, tmp_path: Path, name: str) -> None:
    """In seven racks, of 13 or 14."""
    nodes = [{"count": 96, "racks": 7, "offload": True}]
    wants = ["userspace"] if name == "ovs-dpdk" else []
    network = described(
        nodes=nodes, wants=wants, fabric={"kind": "l3" if "cross" in name else "l2"}
    )
    drawn, made_at = curves(network, SHOWN), datetime(2026, 1, 2, tzinfo=UTC)
    file = tmp_path / "net.html"
    file.write_text(plan_page(plan(network, name), network, drawn, made_at=made_at))
    page = browser.open(file.as_uri())
    assert page.complaints == []
    assert page.evaluate(PICTURES) == []
    page.close()


HOSTILE_FACTOR = r"""
- name: "<script>document.title++</script> $\\frac{1}{2}$ \u001b[31m"
  changes: [{kind: sysctl, name: vm.stat_interval, value: '9'}]
workloads:
"""


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (1024, True), (390, False)])
def test_page_of_an_experiment(browser: Browser, tmp_path: Path, *, width: int, dark: bool) -> None:
    """With one factor that is better, one whose name is hostile and whose runs fail, and noise."""
    chance = Random(1)

    def figure(in_force: Sequence[str]) -> float | str:
        if any("script" in name for name in in_force):
            return "exit status 1: </td><script>document.title='x'</script>"
        return (110 if in_force else 100) + chance.gauss(0, 2)

    text = SPEC.replace("workloads:\n", HOSTILE_FACTOR.lstrip("\n"))
    text = text.replace("null_blocks: 0", "null_blocks: 6").replace("warmups: 0", "warmups: 1")
    found = carried_out(Bench(figure), spec(text))
    file = tmp_path / "experiment.html"
    file.write_text(experiment_page(found, made_at=datetime(2026, 1, 2, tzinfo=UTC)))
    page = browser.open(file.as_uri(), width=width, dark=dark)
    assert page.complaints == []
    assert page.requests == [file.as_uri()]
    assert page.evaluate("document.title") == "virtboost: experiment 1"
    assert page.evaluate("document.querySelectorAll('svg').length") == 4
    assert page.evaluate(LAYOUT) == []
    assert page.evaluate(CONTRAST) == {}
    page.close()
