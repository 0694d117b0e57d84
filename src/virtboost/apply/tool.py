"""How settings are read and written: files of the kernel, and what tools of the host tell.

A table: each tool has a script that tells a value, one that sets it, and a function that takes the
value out of what was told.  In both scripts ``$1`` and so on are what the tool is asked about; in
the second one ``$v`` is the value, on the standard input too.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable

from msgspec import Struct

from virtboost.emit import bootloader
from virtboost.emit.domain import tuning, with_tuning
from virtboost.emit.edit import PRESENT
from virtboost.emit.setting import ABSENT
from virtboost.errors import InputError
from virtboost.transport.source import Capture, Command, Files
from virtboost.transport.writer import Write

Words = tuple[str, ...]

GONE = "gone"
"""What a live setting says whose guest or daemon is not there: nothing of it is left to undo."""


class Found(Struct, frozen=True):
    """What a host says of one setting."""

    value: str
    raw: str
    """Everything that was told; of a guest, its whole definition."""


def _whole(text: str, _: Words) -> str | None:
    return text or None


class Tool(Struct, frozen=True, kw_only=True):
    """A program of the host that tells and sets a value."""

    get: str
    put: str
    value: Callable[[str, Words], str | None] = _whole
    """Takes the value out of what ``get`` printed; None: it tells none."""
    stdin: Callable[[str, str], str] = lambda value, _: value
    """Makes the standard input of ``put`` from the value and what ``get`` printed before."""
    waits: str | None = None
    """When it takes effect; None: at once."""
    live: bool = False
    """Whether it is of a running guest or daemon only, and gone when that stops."""


_VIRSH = "virsh --quiet --connect qemu:///system"

_DOCKER = (
    'c() { if [ "$1" = docker ]; then shift; docker --host unix:///var/run/docker.sock "$@"; '
    'else "$@"; fi; }; '
)
"""``c ENGINE WORDS...``; Docker's own environment does not lead to another machine."""


_NO_LIMIT, _NO_SWAP_LIMIT = str(1 << 62), str((1 << 63) - 4096)
"""What no machine reaches: ``docker update`` has no word for no limit."""

_UNLIMITED = {"-1": "0", _NO_LIMIT: "0", _NO_SWAP_LIMIT: "0"}


def _combined(text: str, _: Words) -> str | None:
    """Return the present number, which ``ethtool -l`` prints after the maximum."""
    numbers = re.findall(r"^Combined:\s+(\d+)$", text, re.MULTILINE)
    return numbers[-1] if numbers else None


def _service(text: str, _: Words) -> str | None:
    state = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if state.get("LoadState") != "loaded":
        return None
    active = "inactive" if state.get("ActiveState") in ("inactive", "failed") else "active"
    return f"{active} {state.get('UnitFileState') or 'static'}"


def _row(text: str, words: Words) -> str | None:
    """Return the affinity in the row of a vCPU or I/O thread; the emulator's stands alone."""
    if text in (ABSENT, GONE):
        return text
    key = words[1] if len(words) > 1 else "*"
    rows: dict[str, str] = dict(re.findall(r"^\s*(\d+|\*):?\s+(\S+)\s*$", text, re.MULTILINE))
    alone = text if key == "*" and re.fullmatch(r"[\d,-]+", text) else None
    return rows.get(key, alone)


def _domain(text: str, _: Words) -> str | None:
    return tuning(text)


def _cpuset(text: str, _words: Words) -> str | None:
    """Return a list; an empty one, which Docker has once at most, is every one that is online."""
    limit, _, online = text.partition("\n")
    return limit.strip("=") or online.strip() or None


def _memory(text: str, _: Words) -> str | None:
    sizes = re.fullmatch(r"(-?\d+) (-?\d+)", text)
    return None if sizes is None else " ".join(_UNLIMITED.get(n, n) for n in sizes.groups())


def _key(text: str, _: Words) -> str | None:
    if not text.startswith("="):
        return None
    value = text[1:].strip()
    if value.startswith('"'):
        try:
            value = str(json.loads(value))
        except ValueError:
            return None
    return value or ABSENT


def _checked(text: str, _: Words) -> str | None:
    if text == GONE:
        return GONE
    found = re.search(r"^TCP sequence checking: (enabled|disabled)$", text, re.MULTILINE)
    return None if found is None else found[1]


def _file(text: str, _: Words) -> str | None:
    if text == ABSENT:
        return ABSENT
    plain = text.startswith(PRESENT) and text.endswith(".") and not {"\0", "\ufffd"} & set(text)
    return text[:-1] if plain else None


def _there(text: str, words: Words) -> str | None:
    """Return a file's content; one that is not there is another boot loader's business."""
    value = _file(text, words)
    return None if value == ABSENT else value


def _grubby(text: str, words: Words) -> str | None:
    line = re.search(r'^args="(.*)"$', text, re.MULTILINE)
    return None if line is None else bootloader.told(words[0], line[1]) or ABSENT


def _content(value: str, _: str) -> str:
    return value.removeprefix(PRESENT)


def _definition(value: str, raw: str) -> str:
    return with_tuning(raw, value)


_GET_FILE = (
    '[ -e "$1" ] || [ -L "$1" ] || { echo absent; exit; }; [ -f "$1" ] && [ ! -L "$1" ] || exit 1; '
    'echo present; cat "$1"; echo .'
)

_PUT_FILE = (
    'if [ "$v" = absent ]; then rm -f "$1"; else n="$1.virtboost-new"; '
    'if { [ ! -e "$1" ] || cp -p "$1" "$n"; } && cat >"$n" && '
    '{ [ -e "$1" ] || chmod 644 "$n"; } && mv -f "$n" "$1"; then sync; '
    'else rm -f "$n"; false; fi; fi'
)
"""The file is whole at any moment, the old one or the new one, with the mode of the old one."""

_MAKE_GRUB = (
    "if command -v update-grub >/dev/null; then update-grub; else "
    "for f in /etc/grub2.cfg /etc/grub2-efi.cfg /boot/grub2/grub.cfg; do "
    'f=$(readlink -f "$f") && [ -e "$f" ] && { grub2-mkconfig -o "$f" || exit 1; done=1; }; done; '
    '[ -n "$done" ]; fi'
)

_INSTALL_KERNEL = (
    'r=$(uname -r); for k in "/lib/modules/$r/vmlinuz" "/boot/vmlinuz-$r"; do '
    '[ -e "$k" ] && { kernel-install add "$r" "$k"; exit; }; done; '
    'echo "no image of kernel $r" >&2; exit 1'
)

_NEXT_BOOT = "at the next boot"


def _pin(put: str, get: str) -> Tool:
    """Return the tool of a pin of a running guest; one that does not run has none."""
    return Tool(
        get=f"names=$({_VIRSH} list --all --name) || exit 1; "
        'printf "%s\\n" "$names" | grep -Fxq -- "$1" || { echo gone; exit; }; '
        f'state=$({_VIRSH} domstate --domain "$1") || exit 1; case "$state" in '
        f'"shut off"|crashed) echo absent;; *) {_VIRSH} {get} --domain "$1" --live;; esac',
        put=f'{_VIRSH} {put} "$v" --live',
        value=_row,
        live=True,
    )


def _limit(option: str, member: str, online: str) -> Tool:
    inspect = f'c "$1" inspect --format \'={{{{.HostConfig.{member}}}}}\' -- "$2"'
    return Tool(
        get=f"{_DOCKER}{inspect} && cat /sys/devices/system/{online}",
        put=f'{_DOCKER}c "$1" update {option} "$v" -- "$2"',
        value=_cpuset,
    )


TOOLS: dict[str, Tool] = {
    "file": Tool(get=_GET_FILE, put=_PUT_FILE, value=_file, stdin=_content, waits=_NEXT_BOOT),
    "grub": Tool(
        get=f"command -v grubby >/dev/null && exit 1; set /etc/default/grub; {_GET_FILE}",
        put=f"set /etc/default/grub; {{ {_PUT_FILE}; }} && {{ {_MAKE_GRUB}; }}",
        value=_there,
        stdin=_content,
        waits=_NEXT_BOOT,
    ),
    "cmdline": Tool(
        get=f"set /etc/kernel/cmdline; {_GET_FILE}",
        put=f"set /etc/kernel/cmdline; {{ {_PUT_FILE}; }} && {{ {_INSTALL_KERNEL}; }}",
        value=_there,
        stdin=_content,
        waits=_NEXT_BOOT,
    ),
    "grubby": Tool(
        get="grubby --info=DEFAULT",
        put='grubby --update-kernel=ALL --remove-args="$1" && '
        '{ [ "$v" = absent ] || grubby --update-kernel=ALL --args="$v"; }',
        value=_grubby,
        waits=_NEXT_BOOT,
    ),
    "channels": Tool(get='ethtool -l "$1"', put='ethtool -L "$1" combined "$v"', value=_combined),
    "service": Tool(
        get='systemctl show --property=LoadState,ActiveState,UnitFileState -- "$1"',
        put='case "$v" in *" enabled") systemctl enable -- "$1";; '
        '*" disabled") systemctl disable -- "$1";; esac && '
        'case "$v" in active*) systemctl start -- "$1";; *) systemctl stop -- "$1";; esac',
        value=_service,
    ),
    "parameter": Tool(
        get='f="/sys/module/$1/parameters/$2"; case "$(ls -l "$f")" in ??w*) cat "$f";; esac',
        put='cat >"/sys/module/$1/parameters/$2"',
        stdin=lambda value, _: f"{value}\n",
    ),
    "vcpupin": _pin('vcpupin --domain "$1" "$2"', "vcpupin"),
    "emulatorpin": _pin('emulatorpin --domain "$1"', "emulatorpin"),
    "iothreadpin": _pin('iothreadpin --domain "$1" "$2"', "iothreadinfo"),
    "domain": Tool(
        get=f'{_VIRSH} list --all --persistent --name | grep -Fxq -- "$1" && '
        f'{_VIRSH} dumpxml --inactive --security-info --domain "$1"',
        put=f"{_VIRSH} define /dev/stdin",
        value=_domain,
        stdin=_definition,
        waits="at the guest's next start",
    ),
    "cpuset-cpus": _limit("--cpuset-cpus", "CpusetCpus", "cpu/online"),
    "cpuset-mems": _limit("--cpuset-mems", "CpusetMems", "node/has_memory"),
    "memory": Tool(
        get=f'{_DOCKER}c "$1" inspect --format '
        "'{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}' -- \"$2\"",
        put=f'{_DOCKER}m=${{v% *}}; s=${{v#* }}; [ "$m" != 0 ] || m={_NO_LIMIT}; '
        f'[ "$s" != 0 ] || s={_NO_SWAP_LIMIT}; '
        'c "$1" update --memory "$m" --memory-swap "$s" -- "$2"',
        value=_memory,
    ),
    "other_config": Tool(
        get='printf = && ovs-vsctl --timeout=10 --if-exists get Open_vSwitch . "other_config:$1"',
        put='if [ "$v" = absent ]; then '
        'ovs-vsctl --timeout=10 --no-wait remove Open_vSwitch . other_config "$1"; else '
        'ovs-vsctl --timeout=10 --no-wait set Open_vSwitch . "other_config:$1=\\"$v\\""; fi',
        value=_key,
    ),
    "tcp-window-check": Tool(
        get='if o=$(OVS_RUNDIR="$1" ovs-appctl --timeout=10 dpctl/ct-get-tcp-seq-chk "$2" 2>&1); '
        'then echo "$o"; else case "$o" in '
        '*"No such file"*|*"No such process"*|*"No such device"*|*refused*) echo gone;; '
        '*) echo "$o" >&2; exit 1;; esac; fi',
        put='case "$v" in enabled) w=enable;; *) w=disable;; esac; '
        'OVS_RUNDIR="$1" ovs-appctl --timeout=10 "dpctl/ct-$w-tcp-seq-chk" "$2"',
        value=_checked,
        live=True,
    ),
}


def sources(paths: Iterable[str]) -> dict[str, Files | Command]:
    """Return what is to be read for each setting: files of one directory together.

    Raises:
        InputError: No tool tells such a setting.
    """
    told: dict[str, Files | Command] = {}
    files: dict[str, list[str]] = {}
    for path in paths:
        directory, _, name = path.rpartition("/")
        if path.startswith("/"):
            files.setdefault(directory, []).append(name)
        else:
            tool, words = _parts(path)
            told[path] = Command(path, ("sh", "-c", tool.get, "sh", *words))
    for directory, names in files.items():
        together = Files(directory, tuple(names))
        told.update((f"{directory}/{name}", together) for name in names)
    return told


def found_in(capture: Capture, path: str, source: Files | Command) -> Found | None:
    """Return what a host said of a setting; None where it told nothing."""
    text = (
        capture.stdout(source)
        if isinstance(source, Command)
        else capture.text(source, path.rpartition("/")[2])
    )
    value = None if text is None else value_of(path, text)
    return None if value is None or text is None else Found(value, text)


def value_of(path: str, text: str) -> str | None:
    """Return the value of a setting in what was read; None: none."""
    if path.startswith("/"):
        return text
    tool, words = _parts(path)
    return tool.value(text, words)


def write(path: str, value: str, raw: str) -> Write:
    """Return the write of a value; ``raw`` is all that was read of the setting before.

    Raises:
        InputError: No tool sets such a setting.
    """
    if path.startswith("/"):
        return Write(path=path, stdin=value)
    tool, words = _parts(path)
    line = value.partition("\n")[0]  # a content is on the standard input only
    return Write(
        path=path,
        put=_script(f"v={shlex.quote(line)}; {tool.put}", words),
        stdin=tool.stdin(value, raw),
        get=_script(tool.get, words),
    )


def command(path: str, value: str) -> str:
    """Return the shell command that sets a value, for a person; of a guest, what it is to say."""
    if path.startswith("/"):
        return f"echo {shlex.quote(value)} > {shlex.quote(path)}"
    tool, words = _parts(path)
    if tool.stdin is _definition:
        return f"virsh edit {shlex.join(words)}  # {value}"
    made = write(path, value, "")
    return f"printf %s {shlex.quote(made.stdin)} | {made.put}"


def waits(path: str) -> str | None:
    """Return when a setting takes effect; None: at once."""
    return None if path.startswith("/") else _parts(path)[0].waits


def is_live(path: str) -> bool:
    """Tell whether a setting is gone with the process that it is of."""
    return not path.startswith("/") and _parts(path)[0].live


def _script(script: str, words: Words) -> str:
    return shlex.join(("sh", "-c", script, "sh", *words))


def _parts(path: str) -> tuple[Tool, Words]:
    try:
        name, *words = shlex.split(path)
        return TOOLS[name], tuple(words)
    except (ValueError, KeyError):
        raise InputError(f"{path[:60]!r}: not a setting that virtboost writes") from None
