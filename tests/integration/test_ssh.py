"""Hosts over a real OpenSSH server on loopback: every shell, every way to fail."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.captures import KUNPENG, MISSING, unpacked
from support.sshd import (
    ROOT,
    Server,
    busybox_root,
    client_block,
    free_ports,
    in_namespace,
    make_key,
    needs_mounts,
    serving,
    virtboost,
    wait_for,
    with_home,
)
from support.still import is_this_machine
from virtboost.errors import (
    BadAnswer,
    CommandFailed,
    HostTimeout,
    InputError,
    TransportError,
    Unreachable,
)
from virtboost.scan.fleet import each_host, in_order
from virtboost.scan.host import scan
from virtboost.transport.recorded import RecordedReader
from virtboost.transport.ssh import SshReader

pytestmark = [pytest.mark.xdist_group("sshd"), pytest.mark.usefixtures("kernel_at_rest")]

LOGIN = '-c "$SSH_ORIGINAL_COMMAND"'

SHELLS = ("dash", "bash", "ash")

NOISE = "printf 'Welcome @ Z\\n\\033[31m'; echo 'Last login: never' >&2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("sshd")
    targets = {
        "plain": "",
        "second": "",
        "noisy": f"{NOISE}; exec sh {LOGIN}",
        "nologin": "echo 'This account is not available.' >&2; exit 1",
        "stuck": "printf begun; exec sleep 300",
        "broken": "head -c 5000; exec cat /bin/ls",
        **{shell: _with_sh(folder, shell) for shell in SHELLS},
    }
    if shutil.which("tcsh"):
        targets["tcsh"] = f"tcsh {LOGIN}"
    if ROOT:
        read_only = "mount -o remount,bind,ro / && mount -t tmpfs -o ro none /tmp"
        targets["readonly"] = in_namespace(read_only, f"sh {LOGIN}")
    (folder / "banner").write_text("Authorised users only\nSession: @ F 0 /etc/passwd\n")
    with serving(folder, targets, settings=f"Banner {folder}/banner\n") as running:
        yield running


def _with_sh(folder: Path, shell: str) -> str:
    """Return a command whose ``sh`` is this shell; busybox brings all its programs along."""
    names = folder / f"as-{shell}"
    names.mkdir()
    program = shutil.which("busybox" if shell == "ash" else shell)
    if program is None:
        return "exit 99"
    (names / "sh").symlink_to(program)
    if shell == "ash":
        listed = subprocess.run((program, "--list"), capture_output=True, text=True, check=True)
        for name in set(listed.stdout.split()) - {"sh"}:
            (names / name).symlink_to(program)
    return f"PATH={names}:$PATH; exec sh {LOGIN}"


def reader(server: Server, alias: str, limit_s: float = 60) -> SshReader:
    return SshReader(f"ssh://{alias}", config=server.config, limit_s=limit_s)


@pytest.mark.parametrize("alias", ["plain", *SHELLS, "tcsh", "noisy"])
def test_the_same_machine_over_ssh_and_here(server: Server, alias: str) -> None:
    if alias not in server.config.read_text():
        pytest.skip(f"{alias} is not installed")
    before = server.sessions
    scans = is_this_machine(lambda: scan(reader(server, alias)))
    assert server.sessions == before + scans, "a scan is one round trip"


@needs_mounts[0]
@needs_mounts[1]
def test_nothing_is_written_on_the_target(server: Server) -> None:
    """The whole file system is read-only for that session."""
    is_this_machine(lambda: scan(reader(server, "readonly")))


def test_nothing_is_left_running_on_the_target(server: Server) -> None:
    scan(reader(server, "plain"))
    for _ in range(50):
        left = descendants(server.pid)
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(left)


def descendants(pid: int) -> list[str]:
    """Return the command lines of a process's children and theirs."""
    listed = subprocess.run(
        ("ps", "-eo", "pid=,ppid=,args="), check=True, capture_output=True, text=True
    )
    parents = {pid}
    found = []
    for line in listed.stdout.splitlines():
        child, parent, arguments = line.split(maxsplit=2)
        if int(parent) in parents:
            parents.add(int(child))
            found.append(arguments)
    return found


@pytest.fixture
def sockets(server: Server) -> Iterator[Path]:
    """A folder with a short name; the masters whose sockets are in it end with the test."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    for path in folder.iterdir():
        argv = ("ssh", "-F", str(server.config), "-S", str(path), "-O", "exit", "plain")
        subprocess.run(argv, capture_output=True, check=True)
    end = time.monotonic() + 10
    while any(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.01)  # a master that was told to end takes its socket away itself
    shutil.rmtree(folder)


def test_a_second_scan_shares_the_connection(server: Server, sockets: Path) -> None:
    logins, sessions = server.logins, server.sessions
    start = time.monotonic()
    for _ in range(2):
        shared = SshReader("ssh://plain", config=server.config, control_directory=sockets)
        assert scan(shared).topology.online
    assert (server.logins - logins, server.sessions - sessions) == (1, 2)
    assert time.monotonic() - start < 30, "the master lives for 60 s, with standard error open"
    assert len(list(sockets.iterdir())) == 1


def test_a_user_who_shares_connections_already_keeps_doing_so(
    server: Server, sockets: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.conf"
    mine = f"Host plain\n ControlMaster auto\n ControlPath {sockets}/mine\n ControlPersist 60\n"
    own.write_text(mine + server.config.read_text())
    scan(SshReader("ssh://plain", config=own, control_directory=tmp_path))
    assert [path.name for path in sockets.iterdir()] == ["mine"]


@pytest.mark.parametrize("fault", ["open to others", "too long", "a file"])
def test_a_folder_that_is_no_good_for_sockets_is_not_used(
    server: Server, sockets: Path, tmp_path: Path, fault: str
) -> None:
    folder = tmp_path / ("x" * 90) if fault == "too long" else sockets
    if fault == "open to others":
        folder.chmod(0o755)
    if fault == "a file":
        folder = tmp_path / "file"
        folder.touch()
    used = SshReader("ssh://plain", config=server.config, control_directory=folder)
    assert scan(used).topology.online
    assert not list(sockets.iterdir())


def test_a_jump_host_gets_the_same_configuration(server: Server, tmp_path: Path) -> None:
    """Its connection asks for no password either, and counts the user's own keys."""
    config = tmp_path / "jump.conf"
    config.write_text(f"Host second\n  ProxyJump plain\n{server.config.read_text()}")
    logins, sessions = server.logins, server.sessions
    scans = is_this_machine(lambda: scan(SshReader("ssh://second", config=config)))
    assert (server.logins - logins, server.sessions - sessions) == (2 * scans, scans)


def test_a_crowded_server_is_asked_again(tmp_path: Path) -> None:
    """``MaxStartups``: sshd drops every connection above the second that has not logged in."""
    with serving(tmp_path, {"busy": ""}, settings="MaxStartups 2:100:2\n") as crowded:
        readers = [reader(crowded, "busy") for _ in range(8)]
        results = in_order(each_host(readers, lambda each: each.read(())))
        assert [result for result in results if isinstance(result, TransportError)] == []
        assert crowded.seen("drop connection|beginning MaxStartups throttling") > 0


def error_of(server: Server, alias: str, config: str = "", limit_s: float = 60) -> TransportError:
    """Scan and return what went wrong; ``config`` comes before the rest of the configuration."""
    path = server.folder / "with-fault.conf"
    path.write_text(config + server.config.read_text())
    with pytest.raises(TransportError) as caught:
        scan(SshReader(f"ssh://{alias}", config=path, limit_s=limit_s))
    return caught.value


STRANGER = "Permission denied (publickey).; try: ssh ssh://plain"


def test_a_host_that_refuses(server: Server) -> None:
    error = error_of(server, "plain", f"Host plain\n Port {free_ports(1)[0]}\n")
    assert isinstance(error, Unreachable)
    assert str(error).startswith("ssh://plain: ssh: connect to host 127.0.0.1 port ")
    assert str(error).endswith("Connection refused; try: ssh ssh://plain")


def test_a_name_that_is_nobodys(server: Server) -> None:
    error = error_of(server, "no-such-host.invalid")
    assert isinstance(error, Unreachable)
    assert "Could not resolve hostname no-such-host.invalid" in str(error)


def test_a_user_whom_the_host_does_not_know(server: Server, tmp_path: Path) -> None:
    config = tmp_path / "stranger.conf"
    text = server.config.read_text()
    config.write_text(text.replace(f"{server.key}\n", f"{server.folder}/stranger\n"))
    with pytest.raises(Unreachable, match=re.escape(STRANGER) + "$"):
        scan(SshReader("ssh://plain", config=config))


def test_a_host_that_nobody_has_met(server: Server) -> None:
    error = error_of(server, "plain", "Host plain\n UserKnownHostsFile /dev/null\n")
    assert str(error) == ("ssh://plain: Host key verification failed.; try: ssh ssh://plain")


def test_a_host_whose_key_has_changed(server: Server, tmp_path: Path) -> None:
    others = tmp_path / "known_hosts"
    key, other = ((server.folder / f"{name}.pub").read_text() for name in ("host", "stranger"))
    others.write_text(server.known_hosts.read_text().replace(key.split()[1], other.split()[1]))
    error = error_of(server, "plain", f"Host plain\n UserKnownHostsFile {others}\n")
    assert str(error) == (
        "ssh://plain: Host key verification failed. "
        f"Offending ED25519 key in {others}:1; try: ssh ssh://plain"
    )


def test_a_configuration_that_ssh_does_not_understand(server: Server) -> None:
    error = error_of(server, "plain", "NoSuchOption yes\n")
    assert "with-fault.conf: line 1: Bad configuration option: nosuchoption" in str(error)


def test_settings_of_a_login_session_do_not_get_in_the_way(server: Server, tmp_path: Path) -> None:
    """The port of the forwarding is taken, and a local command would leave a trace."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "login.conf"
        config.write_text(
            f"""\
Host plain
  RequestTTY force
  RemoteCommand tmux
  ForwardAgent yes
  ForwardX11 yes
  ExitOnForwardFailure yes
  LocalForward {taken.getsockname()[1]} localhost:1
  PermitLocalCommand yes
  LocalCommand touch {tmp_path}/trace
  LogLevel DEBUG3
{server.config.read_text()}"""
        )
        is_this_machine(lambda: scan(SshReader("ssh://plain", config=config)))
    assert not (tmp_path / "trace").exists()


def test_an_account_without_a_login(server: Server) -> None:
    error = error_of(server, "nologin")
    assert isinstance(error, CommandFailed)
    assert str(error) == ("ssh://nologin: sh failed with status 1: This account is not available.")


def test_an_answer_that_is_none(server: Server) -> None:
    error = error_of(server, "broken")
    assert isinstance(error, BadAnswer)
    assert str(error) == "ssh://broken: the answer is cut off or is not from a shell"


def test_a_host_that_stops_in_the_middle(server: Server) -> None:
    start = time.monotonic()
    error = error_of(server, "stuck", limit_s=2)
    assert isinstance(error, HostTimeout)
    assert str(error) == "ssh://stuck: no answer in 2 s"
    assert time.monotonic() - start < 6


def test_a_host_that_accepts_and_says_nothing(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = error_of(server, "plain", f"Host plain\n Port {port}\n ConnectTimeout 1\n")
    assert isinstance(error, Unreachable)
    assert "timed out during banner exchange" in str(error)


def test_no_ssh_here(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    error = error_of(server, "plain")
    assert str(error) == "ssh://plain: cannot run ssh here: no such file or directory: ssh"


@pytest.mark.parametrize(
    "address",
    [
        "ssh://",
        "ssh://-oProxyCommand=evil",
        "ssh://user@-oProxyCommand=evil",
        "ssh://-l@host",
        "ssh://host:port",
        "ssh://host/path",
        "ssh://host;evil",
        "ssh://host evil",
        "ssh://user:password@host",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InputError, match=r"is not a host: write ssh://\[user@\]host\[:port\]$"):
        SshReader(address)


@pytest.fixture(scope="module")
def home(server: Server) -> Path:
    """A home whose ``~/.ssh/config`` knows the aliases, and one that is dead."""
    folder = server.folder / "home"
    (folder / ".ssh").mkdir(parents=True, mode=0o700)
    dead = client_block(server, "dead", free_ports(1)[0])
    (folder / ".ssh" / "config").write_text(server.config.read_text() + dead)
    return folder


@needs_mounts[0]
@needs_mounts[1]
class TestCommandLine:
    """``virtboost scan -H ssh://ALIAS``, the alias in the user's own configuration."""

    @pytest.fixture(autouse=True)
    def end_masters(self, home: Path) -> Iterator[None]:
        yield
        for path in (home / ".cache" / "virtboost").glob("*"):
            argv = ("ssh", "-S", str(path), "-O", "exit", "any")
            subprocess.run(argv, capture_output=True, check=True)

    @staticmethod
    def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
        return subprocess.run(
            (*with_home(home), *virtboost(*arguments)),
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            check=False,
        )

    def test_alias(self, home: Path) -> None:
        done = self.run(home, "scan", "--json", "-H", "ssh://plain")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["hostname"] == socket.gethostname()

    def test_one_dead_host_spoils_nothing(self, home: Path) -> None:
        hosts = ("ssh://plain", "ssh://dead", "ssh://ash", "local")
        arguments = [word for host in hosts for word in ("-H", host)]
        done = self.run(home, "scan", "--json", *arguments)
        document = json.loads(done.stdout)
        assert done.returncode == 3
        assert [host["hostname"] for host in document["hosts"]] == [socket.gethostname()] * 3
        assert [failed["host"] for failed in document["failed"]] == ["ssh://dead"]
        assert re.fullmatch(
            r"virtboost: ssh://dead: ssh: connect to host 127\.0\.0\.1 port \d+: "
            r"Connection refused; try: ssh ssh://dead\n",
            done.stderr,
        )

    def test_one_host_that_is_dead(self, home: Path) -> None:
        done = self.run(home, "scan", "-H", "ssh://dead")
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("virtboost: ssh://dead: ssh: connect to host")
        assert done.stderr.count("\n") == 1

    def test_interrupt_ends_it_at_once(self, home: Path) -> None:
        argv = (*with_home(home), *virtboost("scan", "-H", "ssh://stuck", "-H", "ssh://plain"))
        process = subprocess.Popen(
            argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, process_group=0
        )
        time.sleep(3)
        os.killpg(process.pid, signal.SIGINT)
        start = time.monotonic()
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in stderr
        assert time.monotonic() - start < 5


@needs_mounts[0]
@needs_mounts[1]
@pytest.mark.skipif(shutil.which("dropbear") is None, reason="dropbear is not installed")
def test_dropbear(tmp_path: Path) -> None:
    """The server of small systems; it looks for keys in the home that the system knows."""
    port = free_ports(1)[0]
    server = Server(tmp_path)
    make_key(server.key)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    shutil.copy(f"{server.key}.pub", tmp_path / ".ssh" / "authorized_keys")
    host_key = ("dropbearkey", "-t", "ed25519", "-f", str(tmp_path / "host"))
    printed = subprocess.run(host_key, capture_output=True, text=True, check=True).stdout
    public = next(line for line in printed.splitlines() if line.startswith("ssh-ed25519"))
    server.known_hosts.write_text(f"[127.0.0.1]:{port} {public}\n")
    argv = ("dropbear", "-F", "-E", "-s", "-P", str(tmp_path / "pid"), "-p", f"127.0.0.1:{port}")
    process = subprocess.Popen(
        (*with_home(tmp_path), *argv, "-r", str(tmp_path / "host")),
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        server.config.write_text(client_block(server, "dropbear", port))
        is_this_machine(lambda: scan(reader(server, "dropbear")))
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root directory with busybox alone, in the place of a 128-CPU Kunpeng 920.

    It has no ``uname`` and no ``getconf``, which would tell of the machine of the test.
    """
    folder = tmp_path_factory.mktemp("busybox")
    root = busybox_root(folder / "root", without=("uname", "getconf"))
    capture = unpacked(KUNPENG, folder)
    for name in ("sys", "proc"):
        shutil.rmtree(root / name)
        (capture / name).rename(root / name)
    return root


@needs_mounts[0]
@needs_mounts[1]
@pytest.mark.skipif(not KUNPENG.exists(), reason=MISSING)
def test_a_kunpeng_920_that_has_busybox_alone(busybox: Path, tmp_path: Path) -> None:
    """What is read over SSH there is what is read from the capture here, and quickly."""
    target = f'chroot {busybox} /bin/ash -c "$SSH_ORIGINAL_COMMAND"'
    with serving(tmp_path, {"kunpeng": target}) as server:
        start = time.monotonic()
        host = scan(reader(server, "kunpeng"))
        duration_s = time.monotonic() - start
        assert server.sessions == 1
    assert host == scan(RecordedReader(busybox))
    assert len(host.topology.online) == 128
    assert duration_s < 20
