"""The copy of a changeset on the host that it changed, which can be taken back from there alone.

A folder for each: a script, and notes of what was tried and what it came to (`Write.note`).  What
survives the loss of power is on that host's disk before it is written.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from msgspec import structs

from virtboost.apply.journal import Changeset
from virtboost.apply.tool import is_live, write
from virtboost.transport.writer import Write

ROOT = "/var/lib/virtboost"

_SYNC = "sync -f . 2>/dev/null || sync"

_UNDO = """\
#!/bin/sh
# Takes back what virtboost changed here; with --force also what somebody else changed after it,
# and without what cannot be read.
cd {folder} || exit 1
set -f
force=${{1:-}} left=0
theirs() {{ echo "$1: somebody changed it after virtboost: left alone" >&2; left=1; }}
k() {{
  grep -qx "$1" tried 2>/dev/null || return 0
  now=$(cat "$2" 2>/dev/null)
  if [ -z "$now" ]; then echo "$2: is gone"
  elif [ "$(echo $now)" = "$(echo $3)" ]; then :
  elif [ -z "$force" ] && [ -e now ] && [ "$(grep -H '' "$2")" != "$(grep -F "$2:" now)" ]; then
    theirs "$2"
  else printf '%s\\n' "$4" | cat >"$2" || left=1
  fi
}}
t() {{
  [ -e "$1.was" ] || return 0
  now=$(eval "$3" 2>/dev/null </dev/null)
  if [ -z "$now" ]; then
    [ -n "$force" ] || {{ echo "$2: is gone, or cannot be read: left alone" >&2; left=1; }}
  elif [ "$now" = "$(cat "$1.was")" ]; then :
  elif [ -z "$force" ] && [ -e "$1.now" ] && [ "$now" != "$(cat "$1.now")" ]; then theirs "$2"
  else printf %s "$5" | eval "$4" || left=1
  fi
}}
l() {{
  case "$(eval "$3" 2>/dev/null </dev/null)" in absent|gone) echo "$2: is gone";; *) t "$@";; esac
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
    put = made.put and f"( cd {ROOT} && {{ {_SYNC}; }} ) && {made.put}"
    return structs.replace(made, note=f"{folder(changeset)}/{number}", put=put)


def drop(changeset: Changeset) -> Write:
    """Return the write that removes the copy, when all is as before."""
    place = shlex.quote(folder(changeset))
    return Write(path=folder(changeset), put=f"rm -rf {place}", stdin="", get=":")


def _script(changeset: Changeset, raw: Sequence[str]) -> str:
    lines = []
    for record, said in reversed(list(zip(changeset.records, raw, strict=True))):
        back = write(record.setting.path, record.prior, said)
        which = (str(record.number), back.path)
        kind = "l" if is_live(record.setting.path) else "t"
        tool = (kind, *which, back.get, back.put, back.stdin)
        lines.append(shlex.join(tool if back.put else ("k", *which, said, back.stdin)))
    return _UNDO.format(folder=shlex.quote(folder(changeset)), lines="\n".join(lines))
