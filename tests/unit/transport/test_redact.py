"""What leaves a machine in a recording names nobody and opens nothing."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from support.sshd import virtboost
from virtboost.transport.recorded import RecordedReader
from virtboost.transport.redact import Redactor, secret_name
from virtboost.transport.source import Capture, Command, Files, Links, Output


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("root=UUID=6a9e8c51-0b1f-4c1e-9f0e-3a5c1d2e4f60 ro", "6a9e8c51"),
        ("<uuid>6A9E8C51-0B1F-4C1E-9F0E-3A5C1D2E4F60</uuid>", "6A9E8C51"),
        ("<mac address='52:54:00:6b:3c:58'/>", "6b:3c:58"),
        ("link/infiniband 80:00:02:08:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:2b:8f:1c", "7c:fe"),
        ("listen=8.8.8.8", "8.8.8.8"),
        ("tcp 93.184.216.34:6640", "93.184.216.34"),
        ("server = 2606:2800:220:1:248:1893:25c8:1946", "2606:2800"),
        ("[2606:2800::1]:6640", "2606:2800::1"),
        ("\tSerial Number: 2102312MEA10K9000003\n\tWidth: 64", "2102312MEA"),
        ("Asset Tag: rack 12", "rack 12"),
        ("admin_password = hunter2!", "hunter2"),
        ("password: 'hunter 2'", "hunter 2"),
        ('"DB_PASSWORD=hunter2",', "hunter2"),
        ('{"registryToken": "hunter2"}', "hunter2"),
        ("metadata_proxy_shared_secret=hunter2", "hunter2"),
        ("transport_url = rabbit://openstack:hunter2@10.0.0.1:5672/", "hunter2"),
        ("connection = mysql+pymysql://nova:hunter2@10.0.0.1/nova", "hunter2"),
        ("transport_url = rabbit://nova:p1@c1:5672,nova:hunter2@c2:5672/", "hunter2"),
        ("transport_url = rabbit://nova:p@[fd00::1]:5672,nova:q@c2,nova:hunter2@c3//v", "hunter2"),
        ("admin_password = a,b;c hunter2", "hunter2"),
        ("admin_password = a<b>hunter2", "hunter2"),
        ("secret_key: a b hunter2", "hunter2"),
        ('["map",[["psk","hunter2"],["remote_ip","192.0.2.1"]]]', "hunter2"),
        ("<qemu:env name='A_TOKEN' value='hunter2'/>", "hunter2"),
        ("<graphics type='vnc' passwd='hunter2' port='5900'/>", "hunter2"),
        ("client-key-data: aHVudGVyMg==", "aHVudGVyMg"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nhunter2\n-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)
def test_what_is_taken_out(text: str, secret: str) -> None:
    assert secret not in Redactor().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "local_ip = 192.168.7.4",
        "cluster-dns: 10.96.0.10, 169.254.25.10",
        "bind 127.0.0.1 ::1 fe80::1 fd00::5",
        "libvirt 9.0.0, firmware 22.31.1014, kernel 4.19.90-2003.4.0.0036.oe1.aarch64",
        "0000:7d:00.1 19e5:a222",
        "0-3,8-11 ff,ffffffff 00:1c.0",
        "Linux version 5.15.0-rc1-00005-g4c1b4a4d90b6-dirty",
        "cpu_dedicated_set = 4-63",
        "12:34:56 up 5 days",
    ],
)
def test_what_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_what_is_json_stays_json() -> None:
    document = {"Env": ["DB_PASSWORD=hunter2", "A=1"], "token": "hunter2", "Id": "x"}
    redacted = json.loads(Redactor().text(json.dumps(document)))
    assert redacted == {"Env": ["DB_PASSWORD=REDACTED", "A=1"], "token": "REDACTED", "Id": "x"}


@pytest.mark.parametrize(
    "xml",
    [
        "<g passwd='a&quot;b' passwdValidTo='2026-01-01T00:00:00'/>",
        "<env name='A_TOKEN' value='a b'/>",
        "<description>my password: a, b and a token</description>",
        "<description>password: x</description>",
        "<description>two lines\ntoken = x y</description>",
    ],
)
def test_what_is_xml_stays_xml(xml: str) -> None:
    assert etree.fromstring(Redactor().text(xml)).tag == etree.fromstring(xml).tag


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("libvirt.password", True),
        ("OS_TOKEN", True),
        ("psk", True),
        ("remote.private_key", True),
        ("pmd-cpu-mask", False),
        ("key", False),
        ("compute.cpu_shared_set", False),
        ("xpsky", False),
    ],
)
def test_name_of_a_secret(name: str, secret: bool) -> None:  # noqa: FBT001
    assert secret_name(name) is secret


def test_equal_values_stay_equal_and_others_differ() -> None:
    redactor = Redactor()
    first, second, again = (
        redactor.text(f"<mac address='{mac}'/>")
        for mac in ("52:54:00:6b:3c:58", "52:54:00:6b:3c:59", "52:54:00:6B:3C:58")
    )
    assert first == again
    assert first != second


IDENTIFIERS = st.one_of(
    st.uuids().map(str),
    st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":")),
    st.ip_addresses().map(str),
    st.from_regex(r"[a-z]{1,9}_(password|token)=[a-z0-9]{1,9}", fullmatch=True),
)


@given(st.lists(IDENTIFIERS, min_size=1, max_size=20))
def test_a_second_time_changes_nothing(identifiers: list[str]) -> None:
    once = Redactor().text(" ".join(identifiers))
    assert Redactor().text(once) == once


def test_a_second_time_changes_nothing_where_there_are_hundreds() -> None:
    macs = " ".join(f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}" for number in range(600))
    once = Redactor().text(macs)
    assert len(set(once.split())) == 600
    assert Redactor().text(once) == once


def test_sysfs_and_links_are_left_alone() -> None:
    """Versions of firmware look like addresses, and what identifies is never read there."""
    bios = Files("/sys/class/dmi/id", ("bios_version",))
    links = Links("/sys/class/net", ("*",))
    config = Files("/etc", ("x",))
    command = Command("x", ("x",))
    capture = Capture(
        {
            bios: {"/sys/class/dmi/id": {"bios_version": "8.8.8.8"}},
            links: {"/sys/class/net": {"eth0": "/sys/devices/8.8.8.8"}},
            config: {"/etc": {"x": "ip = 8.8.8.8"}},
        },
        {command: (Output(status=1, stdout="to 8.8.8.8", stderr="no 8.8.8.8"),)},
        (),
    )
    redacted = Redactor().capture(capture)
    assert redacted.text(bios, "bios_version") == "8.8.8.8"
    assert redacted.entries(links) == capture.entries(links)
    assert redacted.text(config, "x") == "ip = 198.18.0.0"
    (output,) = redacted.outputs(command)
    assert (output.stdout, output.stderr) == ("to 198.18.0.0", "no 198.18.0.0")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "host"
    for path, text in {
        "sys/devices/system/cpu/online": "0\n",
        "proc/cmdline": "root=UUID=6a9e8c51-0b1f-4c1e-9f0e-3a5c1d2e4f60 quiet\n",
    }.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    return folder


@pytest.mark.parametrize(("option", "kept"), [("--redact", False), ("--no-redact", True)])
def test_only_no_redact_keeps(recording: Path, tmp_path: Path, option: str, kept: bool) -> None:  # noqa: FBT001
    saved = tmp_path / "saved.tar"
    argv = virtboost("scan", "--json", option, "-H", str(recording), "--save", str(saved))
    printed = subprocess.run(argv, capture_output=True, check=True).stdout
    cmdline = Files("/proc", ("cmdline",))
    found = RecordedReader(saved).read([cmdline]).text(cmdline, "cmdline")
    assert found is not None
    assert re.fullmatch("root=UUID=[0-9a-f-]{36} quiet", found)
    assert ("6a9e8c51" in found) is kept
    assert (b"6a9e8c51" in printed) is kept
    assert f'"redacted": {json.dumps(not kept)}'.encode() in saved.read_bytes()


@pytest.mark.parametrize(
    "piece",
    [
        *("a", "ab:", "1:", "1.", "a-", "://a", "://:", "token", "token =", "\ttoken='", " ", "\n"),
        *("-----BEGIN PRIVATE KEY-----", "00000000-", "serial number:", "password=\\"),
    ],
)
def test_a_hostile_text_takes_no_longer_than_another(piece: str) -> None:
    start = time.process_time()
    Redactor().text(piece * (300_000 // len(piece)))
    assert time.process_time() - start < 5
