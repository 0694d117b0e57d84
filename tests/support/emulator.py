"""A BMC: sushy-tools' Redfish emulator on loopback, with TLS and an account."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest

USER, PASSWORD = "reader", "correct-horse"

ENVIRONMENT = {"VIRTBOOST_REDFISH_USER": USER, "VIRTBOOST_REDFISH_PASSWORD": PASSWORD}

_CONFIG = """
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_FAKE_SYSTEMS = [
    dict(uuid=u, name=u, power_state="On", external_notifier=False, nics=[]) for u in {systems!r}
]
SUSHY_EMULATOR_STATE_DIR = {folder!r}
SUSHY_EMULATOR_AUTH_FILE = {folder!r} + "/accounts"
SUSHY_EMULATOR_SSL_CERT = {certificate!r}
SUSHY_EMULATOR_SSL_KEY = {certificate!r}
SUSHY_EMULATOR_LISTEN_IP = "127.0.0.1"
SUSHY_EMULATOR_LISTEN_PORT = {port}

# The fake driver has no BIOS: this gives one to the systems that have attributes.
import json
from sushy_tools import error
from sushy_tools.emulator.resources.systems import fakedriver

def get_bios(self, identity):
    attributes = json.loads({attributes!r})[identity]
    if attributes is None:
        raise error.NotSupportedError("no BIOS")
    return attributes

fakedriver.FakeDriver.get_bios = get_bios
"""


def certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself, and its key, in one file."""
    file = folder / "certificate.pem"
    what = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    whose = ("-subj", "/CN=bmc", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    where = ("-keyout", str(file), "-out", str(folder / "certificate"))
    subprocess.run(("openssl", "req", *what, *whose, *where), check=True, capture_output=True)
    file.write_text(file.read_text() + (folder / "certificate").read_text())
    return file


@contextmanager
def emulator(folder: Path, systems: Mapping[str, Mapping[str, Any] | None]) -> Iterator[str]:
    """Run the emulator with ``systems``, each with its BIOS attributes or None; yield its URL."""
    program = Path(sys.executable).with_name("sushy-emulator")
    if not program.exists():
        pytest.skip("sushy-tools is not installed")
    port = free_port()
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "accounts").write_text(f"{USER}:{hashed}\n")
    config = folder / "config.py"
    config.write_text(
        _CONFIG.format(
            systems=list(systems),
            folder=str(folder),
            certificate=str(certificate(folder)),
            port=port,
            attributes=json.dumps(systems),
        )
    )
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen([str(program), "--config", str(config)], stdout=log, stderr=log)
    try:
        _wait_for(port, daemon, folder / "log")
        yield f"https://127.0.0.1:{port}"
    finally:
        daemon.kill()
        daemon.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int, daemon: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert daemon.poll() is None, log.read_text()
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"the emulator does not listen: {log.read_text()}")
