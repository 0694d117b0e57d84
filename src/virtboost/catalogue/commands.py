"""Commands that several items are set with by hand; words in capitals stand for what is there."""

from __future__ import annotations

_DEBIAN = "# Debian: the same in GRUB_CMDLINE_LINUX of /etc/default/grub, then update-grub"


def with_arguments(arguments: str) -> str:
    """Return how to put arguments on the kernel command line, for the next boot."""
    return f"grubby --update-kernel=ALL --args='{arguments}'\n{_DEBIAN}"


def without_arguments(names: str) -> str:
    """Return how to take arguments off the kernel command line, for the next boot."""
    return f"grubby --update-kernel=ALL --remove-args='{names}'\n{_DEBIAN}"


def sysctl(name: str, value: str) -> str:
    """Return how to set a sysctl, now and at boot."""
    return f"sysctl -w {name}={value}\n# at boot: the line {name} = {value} in /etc/sysctl.d"


def bios(path: str, value: str) -> str:
    """Return how to set an item of the BIOS; there is no command for it."""
    return f"# BIOS setup: {path}: {value}"
