"""``virtboost prove`` as a user runs it, with a state and an SSH configuration of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from support.sshd import virtboost


class Prover:
    """Runs the command in a folder."""

    def __init__(self, folder: Path, ssh_config: Path | None = None) -> None:
        self.folder = folder
        self._around: tuple[str, ...] = ()
        if ssh_config is not None:
            mine = folder / "ssh"
            mine.mkdir(0o700)
            (mine / "config").write_text(ssh_config.read_text())
            mount = f'mkdir -p ~/.ssh && mount --bind {mine} ~/.ssh && exec "$@"'
            self._around = ("unshare", "-m", "sh", "-c", mount, "sh")

    def run(self, *words: str, status: int = 0, limit_s: float = 300) -> str:
        """Return what a verb of the product prints."""
        done = subprocess.run(
            (*self._around, *virtboost(*words)),
            cwd=self.folder,
            env={**os.environ, "XDG_STATE_HOME": str(self.folder / "state")},
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def prove(self, spec: str, *words: str, status: int = 0, limit_s: float = 300) -> Any:
        """Carry an experiment out and return its document."""
        (self.folder / "spec.yaml").write_text(spec)
        argv = ("prove", "spec.yaml", "--yes", "--json", *words)
        return json.loads(self.run(*argv, status=status, limit_s=limit_s))
