"""BIOS settings from sushy-tools' Redfish emulator, and everything that a BMC can do wrong."""

import json
import os
import pty
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from support.captures import HOSTS
from support.emulator import ENVIRONMENT, PASSWORD, USER, certificate, emulator, free_port
from virtboost.errors import HostTimeout, InputError, TransportError, Unreachable
from virtboost.transport.bmc import SushyBmc

SERVER = str(HOSTS / "96arm-2s4n24cl4c" / "host.tar.zst")

KEPT = {
    "CPUPrefetchConfig": "Enabled",
    "CustomPowerPolicy": "Efficiency",
    "DdrRefreshRate": "32ms",
    "EnableSMMU": "Disabled",
    "OneNumaEnable": "Disabled",
    "PCIEPort[0]": "Enabled",
    "PatrolScrubDuration": 24,
    "TpmClear": None,
    "WarmBootFastSupport": True,
}

PRIVATE = {
    "SetupPassword": "hunter2hunter2",
    "PwdHashOfAdmin": "$6$hunter2",
    "SystemServiceTag": "U8OIL5X-hunter2",
    "SerialNumber": "hunter2",
    "AdminEmail": "hunter2@example.com",
    "../../etc/hunter2": "Enabled",
    "Nested": {"deep": "hunter2"},
}
"""Secrets, what names a machine or a person, and what is no attribute."""


@pytest.fixture(scope="module", autouse=True)
def _no_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bmc")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with emulator(folder, {"server": KEPT | PRIVATE}) as url:
        yield url


@pytest.fixture(scope="module")
def ca(folder: Path, url: str) -> Path:
    return folder / "certificate"


@pytest.fixture(scope="module")
def chassis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A BMC of two systems, the second without BIOS settings."""
    folder = tmp_path_factory.mktemp("chassis")
    with emulator(folder, {"one": {"EnableSMMU": "Enabled"}, "two": None}) as url:
        yield url, folder / "certificate"


def bmc(url: str, ca: Path | None, *, password: str = PASSWORD, limit_s: float = 30) -> SushyBmc:
    return SushyBmc(url, user=USER, password=password, ca=ca, limit_s=limit_s)


def virtboost(*argv: str, ca: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "virtboost", *argv],
        env={**os.environ, **ENVIRONMENT, "VIRTBOOST_REDFISH_CA": str(ca), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_settings_are_recorded_and_replayed(url: str, ca: Path, tmp_path: Path) -> None:
    saved = str(tmp_path / "saved.tar")
    live = virtboost("scan", "-H", SERVER, "--redfish", url, "--save", saved, "--json", ca=ca)
    assert (live.returncode, live.stderr) == (0, "")
    assert json.loads(live.stdout)["firmware"]["bios_settings"] == KEPT
    replayed = virtboost("scan", "-H", saved, "--json", ca=ca)
    assert replayed.stdout == live.stdout


@pytest.mark.parametrize("redact", ["--redact", "--no-redact"])
def test_secrets_are_never_kept(url: str, ca: Path, tmp_path: Path, redact: str) -> None:
    saved = tmp_path / "saved.tar"
    done = virtboost("scan", "--redfish", url, "--save", str(saved), "--json", redact, ca=ca)
    assert done.returncode == 0
    for secret in ("hunter2", PASSWORD):
        assert secret.encode() not in saved.read_bytes()
        assert secret not in done.stdout + done.stderr


def test_check_asks_the_bmc(url: str, ca: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        "own:\n- {id: site.smmu, title: SMMU, look_at: 'bios:EnableSMMU', wanted: Enabled}\n"
    )
    argv = ("check", "-H", SERVER, "--site", str(site), "--item", "site.smmu", "--json")
    with_bmc = virtboost(*argv, "--redfish", url, ca=ca)
    without = virtboost(*argv, ca=ca)
    (found,) = json.loads(with_bmc.stdout)["results"]
    (unknown,) = json.loads(without.stdout)["results"]
    assert (found["verdict"], found["found"]) == ("finding", "Disabled")
    assert unknown["verdict"] == "unknown"


def test_account_is_asked_for_on_a_terminal(url: str, ca: Path) -> None:
    argv = [sys.executable, "-m", "virtboost", "scan", "-H", SERVER, "--redfish", url]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, argv, {**os.environ, "VIRTBOOST_REDFISH_CA": str(ca)})
    shown = _until(terminal, b"user of")
    os.write(terminal, f"{USER}\n".encode())
    shown += _until(terminal, b"password: ")
    os.write(terminal, f"{PASSWORD}\n".encode())
    shown += _until(terminal, b"node 3")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert PASSWORD.encode() not in shown


def _until(terminal: int, word: bytes) -> bytes:
    shown = b""
    while word not in shown:
        shown += os.read(terminal, 4096)
    return shown


def test_wrong_password(url: str, ca: Path) -> None:
    done = virtboost("scan", "--redfish", url, ca=ca, VIRTBOOST_REDFISH_PASSWORD="wrong-guess")
    assert done.returncode == 3
    assert done.stderr == f"virtboost: {url}: refuses the user or the password\n"


def test_certificate_is_not_trusted(url: str) -> None:
    with pytest.raises(
        Unreachable, match=r"not trusted \(.*\); name its CA in VIRTBOOST_REDFISH_CA"
    ):
        bmc(url, None).bios_attributes()


def test_several_systems(chassis: tuple[str, Path]) -> None:
    url, ca = chassis
    with pytest.raises(
        InputError, match=r"serves 2 systems \(/redfish/v1/Systems/one, .*two\); write"
    ):
        bmc(url, ca).bios_attributes()
    assert bmc(f"{url}/redfish/v1/Systems/one", ca).bios_attributes() == {"EnableSMMU": "Enabled"}
    with pytest.raises(TransportError, match="tells no BIOS settings; go without --redfish"):
        bmc(f"{url}/redfish/v1/Systems/two", ca).bios_attributes()
    with pytest.raises(TransportError, match="has no /redfish/v1/Systems/three"):
        bmc(f"{url}/redfish/v1/Systems/three", ca).bios_attributes()


def test_connection_refused(ca: Path) -> None:
    with pytest.raises(Unreachable, match=r": connection refused$"):
        bmc(f"https://127.0.0.1:{free_port()}", ca).bios_attributes()


def test_unknown_name(ca: Path) -> None:
    with pytest.raises(Unreachable, match=r"^https://bmc\.invalid: "):
        bmc("https://bmc.invalid", ca).bios_attributes()


def test_bmc_that_hangs(ca: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(HostTimeout, match=r"no answer in 0\.5 s$"):
            bmc(f"https://127.0.0.1:{port}", ca, limit_s=0.5).bios_attributes()


def test_no_tls(ca: Path) -> None:
    with serving(b"{}", 200, None) as port:
        with pytest.raises(Unreachable, match="speaks no TLS that we can"):
            bmc(f"https://127.0.0.1:{port}", ca).bios_attributes()


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"<html>login</html>", 200, "is not a Redfish service"),
        (b"[]", 200, "is not a Redfish service"),
        (b"<html>nothing here</html>", 404, "is not a Redfish service"),
        (b'{"Id": "RootService", "Name": "", "RedfishVersion": "1.0"}', 200, "tells no BIOS"),
        (b"", 503, "answers with HTTP status 503"),
        (b'{"error": []}', 500, "is not a Redfish service"),
    ],
)
def test_no_redfish(tmp_path: Path, body: bytes, status: int, problem: str) -> None:
    pem = certificate(tmp_path)
    with serving(body, status, pem) as port:
        with pytest.raises(TransportError, match=problem):
            bmc(f"https://127.0.0.1:{port}", tmp_path / "certificate").bios_attributes()


@contextmanager
def serving(body: bytes, status: int, pem: Path | None) -> Iterator[int]:
    """Serve one answer to every request, with TLS where there is a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 -- the server looks for this name

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        if pem is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(pem)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_usage(url: str, ca: Path) -> None:
    two = virtboost("scan", "-H", SERVER, "-H", SERVER, "--redfish", url, ca=ca)
    assert two.returncode == 2
    assert two.stderr == "virtboost: --redfish is the BMC of one host; there are 2 with -H\n"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VIRTBOOST_")}
    silent = subprocess.run(
        [sys.executable, "-m", "virtboost", "scan", "--redfish", url],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert silent.returncode == 2
    assert "VIRTBOOST_REDFISH_USER is not set" in silent.stderr


def test_sushy_is_not_installed(ca: Path) -> None:
    hidden = "import sys; sys.modules['sushy'] = None; from virtboost.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "scan", "--redfish", "https://bmc.invalid"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "virtboost: --redfish needs sushy: pip install 'virtboost[redfish]'\n"
