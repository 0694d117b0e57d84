"""The page as text; a browser looks at it in tests/integration."""

import base64
import hashlib
import re
from datetime import UTC, datetime

from lxml import html

from support.findings import ITEMS, REPORT
from support.hostile import hostile
from support.rich_host import rich_host
from virtboost.report.html import hosts_page

MADE_AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def page(copies: int = 1, *, failed: tuple[tuple[str, str], ...] = ()) -> str:
    return hosts_page([(rich_host(), REPORT)] * copies, failed, ITEMS, made_at=MADE_AT)


def test_nothing_is_loaded() -> None:
    tree = html.fromstring(page())
    loading = ("src", "srcset", "href", "data", "action")
    targets = [value for part in tree.iter() for value in map(part.get, loading) if value]
    assert targets
    assert [target for target in targets if not target.startswith(("#", "data:,"))] == []
    assert not re.search(r"@import|url\(", tree.findtext(".//style") or "url(")


def test_the_policy_names_the_script_that_is_there() -> None:
    text = page()
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_the_same_hosts_give_the_same_page() -> None:
    assert page() == page()


def test_anchors_are_unique_and_lead_somewhere() -> None:
    text = page(3)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {target for target in re.findall(r'href="#([^"]+)"', text)} <= set(ids)


def test_a_host_that_failed_is_in_the_list() -> None:
    text = page(failed=(("ssh://dead", "dead: <connection> refused"),))
    assert "could not be read: dead: &lt;connection&gt; refused" in text


def test_an_object_with_findings_is_marked_in_the_picture() -> None:
    assert re.search(r'guest <bdi>db1</bdi>\s*<a class="mark critical" href="#h0-guest', page())


def test_every_text_of_a_host_is_escaped() -> None:
    text = hosts_page([(hostile(rich_host()), hostile(REPORT))], [], ITEMS, made_at=MADE_AT)
    assert "<img" not in text
    assert text.count("<script") == text.count("</script>") == 1
    assert {char for char in text if not char.isprintable()} == {"\n"}


def test_a_name_of_10_kb_is_cut() -> None:
    longer = hosts_page(
        [(hostile(rich_host(), length=10_000), hostile(REPORT))], [], ITEMS, made_at=MADE_AT
    )
    assert "x" * 4097 not in longer
