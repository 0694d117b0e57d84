"""Write ``docs/reference`` from the code: items, JSON Schemas, the command line.

``python tools/reference.py`` writes; ``--check`` tells what differs and fails if something does.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from virtboost import model, net
from virtboost.catalogue.catalogue import ITEMS
from virtboost.catalogue.item import AnyItem
from virtboost.catalogue.site import FACTS, Site
from virtboost.flow.agent.status import FlowStatus
from virtboost.flow.explain import Explanation
from virtboost.flow.offload import Offload
from virtboost.flow.survey import Survey
from virtboost.model.density import Density
from virtboost.model.document import json_schema
from virtboost.model.finding import Report
from virtboost.model.fleet_plan import FleetPlan
from virtboost.model.host import Host
from virtboost.model.plan import Plan
from virtboost.model.workload import Workload
from virtboost.net import simulate, validate
from virtboost.net.description import Network
from virtboost.net.drift import Drift
from virtboost.net.emulate.outcome import Emulation
from virtboost.net.plan import NetPlan
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.outcome import Study
from virtboost.net.validate.calibration import Calibration
from virtboost.net.validate.result import Validation
from virtboost.prove.result import Experiment
from virtboost.prove.spec import Spec

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"

DOCUMENTS: dict[str, type] = {
    "host": Host,
    "check": Report,
    "site": Site,
    "plan": Plan,
    "fleet": FleetPlan,
    "density": Density,
    "flow-explanation": Explanation,
    "flow-survey": Survey,
    "flow-offload": Offload,
    "flow-status": FlowStatus,
    "net": Network,
    "net-drift": Drift,
    "net-plan": NetPlan,
    "net-emulation": Emulation,
    "net-simulation": Study,
    "net-costs": Costs,
    "net-validation": Validation,
    "net-calibration": Calibration,
    "prove": Spec,
    "experiment": Experiment,
    "workload": Workload,
}
"""The documents that users meet, by the name of their schema."""

VERBS: tuple[tuple[str, ...], ...] = (
    (),
    ("scan",),
    ("check",),
    ("plan",),
    ("density",),
    ("apply",),
    ("status",),
    ("undo",),
    ("prove", "run"),
    ("prove", "resume"),
    ("prove", "show"),
    ("prove", "list"),
    ("prove", "compare"),
    ("prove", "workloads"),
    ("flow", "explain"),
    ("flow", "survey"),
    ("flow", "offload"),
    ("flow", "run"),
    ("flow", "status"),
    ("flow", "top"),
    ("flow", "restore"),
    ("net", "plan"),
    ("net", "simulate"),
    ("net", "emulate"),
    ("net", "validate"),
    ("net", "template"),
    ("net", "describe"),
    ("net", "drift"),
)
"""The verbs whose help is on the page of the command line."""


def pages() -> Iterator[tuple[Path, str]]:
    """Yield every generated file with its content."""
    yield REFERENCE / "items.md", _items_page()
    yield REFERENCE / "cli.md", _cli_page()
    documented = _field_docstrings()
    for name, kind in DOCUMENTS.items():
        schema = _described(json_schema(kind), documented)
        path = REFERENCE / "schemas" / f"virtboost.{name}.schema.json"
        yield path, json.dumps(schema, indent=2) + "\n"


def _items_page() -> str:
    lines = [
        "# Tuning items",
        "",
        "Generated from the declarations in `src/virtboost/catalogue/`; do not edit.",
        "",
        f"{len(ITEMS)} items. `virtboost check --explain ID` prints the same of one.",
        "",
        "| id | title | layer | severity | takes effect |",
        "|---|---|---|---|---|",
    ]
    for item in ITEMS:
        link = f"[`{item.id}`](#{item.id.replace('.', '')})"
        lines.append(
            f"| {link} | {item.title} | {item.layer} | {item.severity} | {item.takes_effect} |"
        )
    for item in ITEMS:
        lines += _item_section(item)
    facts = ", ".join(f"`{name}`" for name in FACTS)
    lines += ["", "## Facts", "", f"`applies_when` of a site's own item may ask: {facts}."]
    return "\n".join(lines) + "\n"


def _item_section(item: AnyItem) -> list[str]:
    effect = item.effect.figure
    effect += f", {item.effect.conditions}" if item.effect.conditions else ""
    effect += f" ({item.effect.source})" if item.effect.source else ""
    rows = [
        ("layer", item.layer),
        ("for", ", ".join(item.platforms)),
        ("looks at", item.subjects.kind),
        ("wanted", f"`{item.wanted.text}`" if item.wanted else "follows from the host"),
        ("severity", item.severity),
        ("use", "proofs of concept only" if item.usage == "poc_only" else "commercial"),
        ("takes effect", item.takes_effect),
        ("expected effect", effect),
        ("risk", item.risk),
        ("conflicts with", ", ".join(f"`{name}`" for name in item.conflicts)),
        ("rule", item.rule or ""),
    ]
    lines = ["", f"## {item.id}", "", f"**{item.title}.** {item.why}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(text)} |" for name, text in rows if text]
    lines += ["", "Set by hand:", "", "```sh", item.by_hand, "```", ""]
    lines += ["Take back:", "", "```sh", item.undo_by_hand, "```", ""]
    return lines + [f"- {source}" for source in item.sources]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _cli_page() -> str:
    lines = ["# Command line", "", "Generated from `virtboost VERB --help`; do not edit."]
    for verb in VERBS:
        command = [sys.executable, "-m", "virtboost", *verb, "--help"]
        environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
        shown = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment
        ).stdout
        shown = shown.replace("python -m virtboost", "virtboost")
        title = " ".join(("virtboost", *verb))
        text = "\n".join(line.rstrip() for line in shown.strip().splitlines())
        lines += ["", f"## {title}", "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


def _field_docstrings() -> dict[str, dict[str, str]]:
    """Return class name -> field -> the docstring below it, over every module of the model."""
    documented: dict[str, dict[str, str]] = {}
    modules = [
        f"{package.__name__}.{info.name}"
        for package in (model, net, simulate, validate)
        for info in pkgutil.iter_modules(package.__path__)
    ]
    for name in (*modules, "virtboost.catalogue.site", "virtboost.catalogue.item"):
        path = importlib.import_module(name).__file__
        assert path is not None, name
        for node in ast.walk(ast.parse(Path(path).read_text())):
            if isinstance(node, ast.ClassDef):
                documented[node.name] = dict(_documented_fields(node))
    return documented


def _documented_fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            yield field.target.id, " ".join(str(after.value.value).split())


def _described(schema: dict[str, Any], documented: dict[str, dict[str, str]]) -> dict[str, Any]:
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for name, definition in schema.get("$defs", {}).items():
        for field, description in documented.get(name, {}).items():
            if field in definition.get("properties", {}):
                definition["properties"][field]["description"] = description
    return schema


def main() -> int:
    """Write or, with ``--check``, compare; return the exit status."""
    check = sys.argv[1:] == ["--check"]
    stale = [path for path, text in pages() if not path.exists() or path.read_text() != text]
    if not check:
        for path, text in pages():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return 0
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)} is not what the code says; run make docs\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
