"""The copy of a changeset on the host that it changed, which can be taken back from there alone.

A folder for each: a script, and what each setting said before and after the write, as that host's
own tools told it.  A setting that is written has its ``was`` file; what survives the loss of power
is on that host's disk before it is written.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from msgspec import structs

from virtboost.apply.journal import Changeset
from virtboost.apply.tool import write
from virtboost.transport.writer import Write

ROOT = "/var/lib/virtboost"

_SYNC = "sync -f . 2>/dev/null || sync"

_UNDO = """\
#!/bin/sh
# Takes back what virtboost changed here; with --force also what somebody else changed after it.
cd {folder} || exit 1
force=${{1:-}} left=0
b() {{
  [ -e "$1.was" ] || return 0
  now=$(eval "$3" 2>/dev/null </dev/null)
  if [ -z "$now" ]; then echo "$2: is gone"
  elif [ "$now" = "$(cat "$1.was")" ]; then :
  elif [ -z "$force" ] && [ -e "$1.now" ] && [ "$now" != "$(cat "$1.now")" ]; then
    echo "$2: somebody changed it after virtboost: left alone" >&2; left=1
  else printf %s "$5" | eval "$4" || left=1
  fi
}}
{lines}
[ "$left" = 0 ] || exit 1
cd / && rm -rf {folder}
exit
"""


def folder(changeset: Changeset) -> str:
    """Return the folder of a changeset on its host."""
    return f"{ROOT}/{changeset.key}"


def keep(changeset: Changeset, raw: Sequence[str]) -> Write:
    """Return the write of the script, on disk when it is done.

    Args:
        changeset: What is about to be written.
        raw: What the host said of each of its settings.
    """
    place = shlex.quote(folder(changeset))
    return Write(
        path=f"{folder(changeset)}/undo",
        put=f"umask 077 && mkdir -p {place} && cd {place} && cat >undo && {{ {_SYNC}; }}",
        stdin=_script(changeset, raw),
        get=f"echo {place}",
        essential=True,
    )


def noted(made: Write, changeset: Changeset, number: int) -> Write:
    """Return a write that notes on its host what the setting says before and after it."""
    note = shlex.quote(f"{folder(changeset)}/{number}")
    lasts = not made.path.startswith("/")
    sync = f"( cd {ROOT} && {{ {_SYNC}; }} ) && " if lasts else ""
    return structs.replace(
        made,
        put=f"{{ {made.get}; }} </dev/null >{note}.was && {sync}{made.put}",
        get=f"{{ {made.get}; }} | tee {note}.now",
    )


def drop(changeset: Changeset) -> Write:
    """Return the write that removes the copy, when all is as before."""
    place = shlex.quote(folder(changeset))
    return Write(path=folder(changeset), put=f"rm -rf {place}", stdin="", get=":")


def _script(changeset: Changeset, raw: Sequence[str]) -> str:
    lines = []
    for record, said in reversed(list(zip(changeset.records, raw, strict=True))):
        back = write(record.setting.path, record.prior, said)
        words = (str(record.number), back.path, back.get, back.put, back.stdin)
        lines.append(f"b {shlex.join(words)}")
    return _UNDO.format(folder=shlex.quote(folder(changeset)), lines="\n".join(lines))
