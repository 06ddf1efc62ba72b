"""Resolve the base dependencies and HEIC for JetPack 6 on aarch64: all have wheels. They go to a temporary folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
# pip takes these tags literally: manylinux2014 does not follow from manylinux_2_28.
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux2014_aarch64")


def dependencies() -> list[str]:
    """The base and the extra `heif`, without markers, which pip would apply to the Python that runs it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["heif"]]
    return [line.split(";")[0].strip() for line in lines]


def command(folder: str) -> list[str]:
    """The call of pip that downloads the wheels into a folder."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    return [
        sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--only-binary=:all:", *platforms,
        "--python-version", "3.10", "-c", str(ROOT / "constraints-jetpack6.txt"), "-d", folder, *dependencies(),
    ]  # fmt: skip


def main() -> int:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command(folder))
        wheels = len(list(Path(folder).glob("*.whl")))
    if done.returncode:
        sys.stderr.write("aarch64: the base does not resolve for Python 3.10 on aarch64; see pip's lines above\n")
    else:
        sys.stdout.write(f"aarch64: {wheels} wheels resolve for Python 3.10 in {time.monotonic() - start:.0f} s\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
