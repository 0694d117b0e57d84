"""``python -m bench [NAME...]``: run benchmarks, print them, and write docs/benchmarks.md."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench
from bench import page

FRAME = {"__main__", "direct", "dpdk", "load", "measure", "page", "path"}


def main() -> int:
    """Run the benchmarks that are named, or all; a module has TITLE, versions() and run()."""
    known = sorted({found.name for found in pkgutil.iter_modules(bench.__path__)} - FRAME)
    names = sys.argv[1:] or known
    if unknown := set(names) - set(known):
        sys.stderr.write(f"no benchmark {', '.join(sorted(unknown))}; there are {known}\n")
        return 2
    for name in names:
        module = importlib.import_module(f"bench.{name}")
        text = module.run()
        sys.stdout.write(f"{module.TITLE}\n{text}\n\n")
        page.write(name, module.TITLE, module.versions(), text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
