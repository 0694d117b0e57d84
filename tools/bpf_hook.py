"""Build hook of hatchling: ``make bpf`` before a wheel or an editable install is made."""

from __future__ import annotations

import subprocess
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BpfHook(BuildHookInterface[Any]):  # type: ignore[misc] # hatchling is there when it builds only
    """Puts the objects of the data plane into the package: targets need no compiler."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build them; an editable install may do without until ``make bpf``."""
        built = subprocess.run(("make", "bpf"), cwd=self.root, check=version != "editable")
        if built.returncode:
            self.app.display_warning("the data plane of flow is not built (make bpf)")
        build_data["artifacts"].append("src/virtboost/flow/bpf/*.bpf.o")
