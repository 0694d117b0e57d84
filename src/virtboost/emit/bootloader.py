"""Arguments of the kernel command line, in the files of boot loaders.

Source: https://www.gnu.org/software/grub/manual/grub/html_node/Simple-configuration.html;
kernel-install(8); kernel-command-line(7).
"""

from __future__ import annotations

import re

from virtboost.errors import InputError
from virtboost.model.change import KernelArgument

_NAME = re.compile(r"[\w.-]{1,80}")
_VALUE = re.compile(r"[\w.,:;=/@+*-]{0,400}")
_GRUB = re.compile(
    r"^(?P<head>[ \t]*GRUB_CMDLINE_LINUX(?P<kind>_DEFAULT)?=)(?P<quote>[\"']?)"
    r"(?P<words>[^\"'\n]*)(?P=quote)[ \t]*$",
    re.MULTILINE,
)


def word(change: KernelArgument) -> str | None:
    """Return an argument as it stands on the command line; None where it is to go.

    Raises:
        InputError: It is not one that a command line can have.
    """
    if not _NAME.fullmatch(change.name) or not _VALUE.fullmatch(change.value or ""):
        raise InputError(f"kernel argument {change.name[:60]!r}: not one that apply writes")
    if change.value is None:
        return None
    return f"{change.name}={change.value}" if change.value else change.name


def told(name: str, line: str) -> str | None:
    """Return what a command line says of an argument, as often as it does; None: nothing."""
    return " ".join(each for each in line.split() if _is(name, each)) or None


def in_line(change: KernelArgument, line: str) -> str:
    """Return a kernel command line with the argument as it is to be."""
    kept = [each for each in line.split() if not _is(change.name, each)]
    argument = word(change)
    return " ".join((*kept, argument) if argument else kept)


def in_grub(change: KernelArgument, text: str) -> str:
    """Return ``/etc/default/grub`` with the argument as it is to be; other lines stay.

    Raises:
        InputError: The file says it in a way that only a shell understands.
    """
    argument = word(change)
    if "GRUB_CMDLINE_LINUX" in text and not _GRUB.search(text):
        raise InputError("/etc/default/grub: GRUB_CMDLINE_LINUX is not one quoted line")
    without = _GRUB.sub(lambda match: _line(match, change.name, None), text)
    if argument is None:
        return without
    done, count = _GRUB.subn(lambda match: _line(match, change.name, argument), without)
    if not count or not re.search(r"^[ \t]*GRUB_CMDLINE_LINUX=", done, re.MULTILINE):
        end = "" if not done or done.endswith("\n") else "\n"
        return f'{done}{end}GRUB_CMDLINE_LINUX="{argument}"\n'
    return done


def _line(match: re.Match[str], name: str, argument: str | None) -> str:
    words = match["words"].split()
    kept = [each for each in words if not _is(name, each)]
    if argument is not None and match["kind"] is None:
        kept.append(argument)
    if kept == words:
        return match[0]
    quote = match["quote"] or '"'
    return f"{match['head']}{quote}{' '.join(kept)}{quote}"


def _is(name: str, argument: str) -> bool:
    """Tell whether this is that argument; the kernel reads ``-`` and ``_`` as one."""
    return argument.partition("=")[0].replace("-", "_") == name.replace("-", "_")
