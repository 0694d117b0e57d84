"""The script that reads a host, run by every POSIX shell there is here."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.still import is_this_machine
from virtboost.errors import BadAnswer
from virtboost.scan.host import SOURCES, parse
from virtboost.transport.local import LocalReader
from virtboost.transport.shell import parse_answer, script
from virtboost.transport.source import Capture, Command, Failure, Files, Links, Output, Source

NONCE = "@0123456789abcdef"

SHELLS = [("dash",), ("bash",), ("bash", "--posix"), ("busybox", "ash")]


def read(shell: tuple[str, ...], *sources: Source) -> Capture:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    done = subprocess.run(
        (*shell, "-s"),
        input=script(sources, NONCE).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    return parse_answer(done.stdout, done.stderr, NONCE, sources, "host")


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


@pytest.mark.usefixtures("kernel_at_rest")
def test_this_machine_is_the_same_by_script(shell: tuple[str, ...]) -> None:
    is_this_machine(lambda: parse(read(shell, *SOURCES)))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with names and contents that a shell could trip over."""
    files = {
        "plain/a": "one\n",
        "plain/b": "two\nlines",
        "plain/empty": "",
        "plain/with space": " kept inside: $(touch /tmp/never) `x` \\n %s\n",
        "plain/-n": "dash\n",
        "plain/nul": "a\0b\0",
        "numbered10/x": "ten",
        "numbered2/x": "two",
        "numbered1x/x": "not a number",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "plain" / "forged").write_text("@feed Z\n@feed F 0 /etc/passwd\nroot\n")
    (tmp_path / "link").symlink_to("plain")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "plain" / "folder").mkdir()
    return tmp_path


def test_files_and_links_as_the_local_reader_finds_them(shell: tuple[str, ...], tree: Path) -> None:
    sources: tuple[Source, ...] = (
        Files(f"{tree}/plain", ("*",)),
        Files(f"{tree}/plain", ("a", "missing", "with space", "-n", "folder")),
        Files(f"{tree}/numbered[0-9]*", ("x",)),
        Files(f"{tree}/nowhere", ("*",)),
        Files(f"{tree}/link", ("a",)),
        Links(f"{tree}", ("*",)),
        Links(f"{tree}", ("link", "dangling", "missing", "plain")),
    )
    remote, local = read(shell, *sources), LocalReader().read(sources)
    for source in sources:
        if not isinstance(source, Command):
            expected = {
                directory: {name: text.replace("\0", "") for name, text in texts.items()}
                for directory, texts in local.entries(source).items()
            }
            found = {
                directory: {name: text.replace("\0", "") for name, text in texts.items()}
                for directory, texts in remote.entries(source).items()
            }
            assert found == expected
            assert list(found) == list(expected)
    assert remote.failures == local.failures == ()


def test_programs_as_the_local_reader_runs_them(shell: tuple[str, ...]) -> None:
    sources = (
        Command("one", ("sh", "-c", "echo out; echo err >&2; exit 4")),
        Command("each", ("echo", "[{}]", "x{}y"), foreach=("printf", "a b\\n\\n$c 'd'\\n*\\n")),
        Command("none", ("echo", "{}"), foreach=("true",)),
        Command("fails", ("echo", "{}"), foreach=("sh", "-c", "echo no >&2; exit 7")),
        Command("missing", ("no-such-program",)),
        Command("quoted", ("printf", "%s|", "it's", '"', "$HOME", "a;b", "")),
        Command("reads", ("cat",)),
    )
    remote, local = read(shell, *sources), LocalReader().read(sources)
    for source in sources:
        assert remote.outputs(source) == local.outputs(source)
    assert remote.outputs(sources[0]) == (Output(status=4, stdout="out", stderr="err"),)
    assert [output.stdout for output in remote.outputs(sources[1])] == [
        "[a b] xa by",
        "[$c 'd'] x$c 'd'y",
        "[*] x*y",
    ]
    assert remote.outputs(sources[2]) == ()
    assert remote.outputs(sources[3]) == (Output(status=7, stdout="", stderr="no"),)
    assert remote.outputs(sources[4]) == ()
    assert remote.outputs(sources[6]) == (Output(status=0, stdout=""),)


def test_batch_gives_all_lines_to_one_program(shell: tuple[str, ...]) -> None:
    command = Command(
        "batch", ("printf", "<%s>", "{}", "end"), foreach=("printf", "a\\nb c\\n*\\n"), batch=True
    )
    assert read(shell, command).stdout(command) == "<a><b c><*><end>"
    assert LocalReader().read((command,)).stdout(command) == "<a><b c><*><end>"


def test_a_program_that_leaves_a_daemon_behind(shell: tuple[str, ...]) -> None:
    command = Command("daemon", ("sh", "-c", "sleep 60 </dev/null >/dev/null 2>&1 & echo $!"))
    text = read(shell, command).stdout(command)
    assert text is not None
    subprocess.run(("kill", text), check=True)


def test_masks_that_say_nothing_to_a_byte_at_a_time(shell: tuple[str, ...]) -> None:
    """Linux 5.16 and later: ``read`` of dash and busybox sees an empty file."""
    mask = Path("/sys/devices/system/node/node0/cpumap")
    if not mask.exists():
        pytest.skip("this kernel has no NUMA")
    source = Files(str(mask.parent), (mask.name,))
    assert read(shell, source).text(source, mask.name) == mask.read_text().strip()


SOURCE = Files("/etc", ("a", "b"))


def frame(kind: str, text: str) -> bytes:
    return f"{NONCE} {kind}\n{text}\n".encode()


END = frame("Z", "")


def test_what_a_login_shell_says_is_no_part_of_the_answer() -> None:
    answer = b"Welcome!\n" + frame("F 0 /etc/a", "text") + END + b"bye"
    assert parse_answer(answer, b"", NONCE, [SOURCE], "host").text(SOURCE, "a") == "text"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff\xfe\x00rubbish",
        frame("F 0 /etc/a", "no end"),
        frame("F", "") + END,
        frame("F 0", "") + END,
        frame("F 7 /etc/a", "") + END,
        frame("F -9 /etc/a", "") + END,
        frame("F x /etc/a", "") + END,
        frame("S 1 x", "") + END,
        frame("C", "") + END,
        frame("", "") + END,
        f"{NONCE} ".encode() + b"\xff\n" + END,
    ],
)
def test_an_answer_out_of_order(answer: bytes) -> None:
    with pytest.raises(BadAnswer, match=r"^host: the answer is"):
        parse_answer(answer, b"", NONCE, [SOURCE, Command("c", ("x",))], "host")


def test_what_grep_complains_of_is_a_failure_unless_it_is_no_value() -> None:
    errors = b"""\
grep: /sys/a: No such file or directory
grep: /sys/b: Invalid argument
grep: /sys/c: d: Permission denied
grep: /sys/d: Input/output error
grep: /sys/\x1b[2J: Permission denied
grep: /etc/shadow: Permission denied
Warning: Permanently added 'host' to the list of known hosts.
"""
    capture = parse_answer(END, errors, NONCE, [SOURCE], "host")
    assert capture.failures == (
        Failure("/sys/c: d", "permission denied"),
        Failure("/sys/d", "input/output error"),
    )
