"""Boot arguments in the files of boot loaders; GRUB's own shell says what the file means."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtboost.emit.bootloader import in_grub, in_line, told, word
from virtboost.errors import InputError
from virtboost.model.change import KernelArgument

FILE = """\
# How to boot
GRUB_DEFAULT=0
GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"
GRUB_CMDLINE_LINUX="hugepages=4 hugepagesz=2M"
"""


def command_line(text: str, folder: Path) -> list[str]:
    """Return what a shell, as ``grub-mkconfig`` is one, makes of the file."""
    file = folder / "grub"
    file.write_text(text)
    script = f'. {file}; echo "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"'
    done = subprocess.run(("sh", "-euc", script), capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("hugepages", "64", "hugepagesz=2M hugepages=64 quiet splash"),
        ("isolcpus", "2-47", "hugepages=4 hugepagesz=2M isolcpus=2-47 quiet splash"),
        ("nosmt", "", "hugepages=4 hugepagesz=2M nosmt quiet splash"),
        ("splash", None, "hugepages=4 hugepagesz=2M quiet"),
        ("hugepages", None, "hugepagesz=2M quiet splash"),
        ("quiet", "", "hugepages=4 hugepagesz=2M quiet splash"),
    ],
)
def test_grub(tmp_path: Path, name: str, value: str | None, line: str) -> None:
    made = in_grub(KernelArgument(name=name, value=value), FILE)
    assert command_line(made, tmp_path) == line.split()
    assert made.startswith("# How to boot\nGRUB_DEFAULT=0\n")
    assert in_grub(KernelArgument(name=name, value=value), made) == made, "twice is once"


@pytest.mark.parametrize("text", ["", "GRUB_DEFAULT=0", "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n"])
def test_a_file_without_the_line_gets_one(tmp_path: Path, text: str) -> None:
    made = in_grub(KernelArgument(name="nosmt", value=""), text)
    assert "nosmt" in command_line(f"GRUB_CMDLINE_LINUX_DEFAULT=\n{made}", tmp_path)


@pytest.mark.parametrize(
    "text", ['GRUB_CMDLINE_LINUX="a\nb"\n', 'GRUB_CMDLINE_LINUX="$(cat /x)\' "\n']
)
def test_what_only_a_shell_understands_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not one quoted line"):
        in_grub(KernelArgument(name="nosmt", value=""), text)


@pytest.mark.parametrize(
    ("name", "value"), [("a b", ""), ("x", "1 y=2"), ("x", "$(reboot)"), ("x", '"'), ("", "1")]
)
def test_what_no_argument_is_is_refused(name: str, value: str) -> None:
    with pytest.raises(InputError, match="not one that apply writes"):
        word(KernelArgument(name=name, value=value))


WORDS = st.lists(st.from_regex(r"[a-z]{1,3}(=[a-z0-9]{1,3})?", fullmatch=True), max_size=6)


@given(WORDS, st.from_regex(r"[a-z]{1,3}", fullmatch=True), st.sampled_from(("7", "", None)))
def test_the_others_stay(words: list[str], name: str, value: str | None) -> None:
    made = in_line(KernelArgument(name=name, value=value), " ".join(words)).split()
    others = [each for each in words if each.partition("=")[0] != name]
    wanted = [] if value is None else [f"{name}={value}" if value else name]
    assert made == others + wanted
    assert told(name, " ".join(made)) == (wanted[0] if wanted else None)


def test_a_dash_is_an_underscore() -> None:
    """As the kernel has it (admin-guide/kernel-parameters.rst)."""
    change = KernelArgument(name="transparent-hugepage", value="never")
    line = in_line(change, "transparent_hugepage=always quiet")
    assert line == "quiet transparent-hugepage=never"
