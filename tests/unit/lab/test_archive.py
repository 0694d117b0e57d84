"""The archive that Linux boots from is one that cpio reads."""

import stat
import subprocess
from pathlib import Path

from lab.archive import Archive
from support.daemon import need


def test_cpio_unpacks_it(tmp_path: Path) -> None:
    need("cpio")
    archive = Archive()
    archive.file("etc/deep/er", b"odd", 0o600)
    archive.file("etc/empty", b"")
    archive.link("bin/sh", "busybox")
    archive.folder("root", 0o700)
    subprocess.run(
        ["cpio", "--quiet", "--extract"], cwd=tmp_path, input=archive.content(), check=True
    )
    assert (tmp_path / "etc/deep/er").read_bytes() == b"odd"
    assert stat.S_IMODE((tmp_path / "etc/deep/er").stat().st_mode) == 0o600
    assert (tmp_path / "etc/empty").read_bytes() == b""
    assert (tmp_path / "bin/sh").readlink() == Path("busybox")
    assert stat.S_IMODE((tmp_path / "root").stat().st_mode) == 0o700
