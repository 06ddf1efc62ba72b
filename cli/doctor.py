"""`livetint doctor`: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
from pathlib import Path

import click

from ..build_engine.tensorrt_versions import compute_capability
from ..engine.bundle import Bundle
from ..engine.cache import user_cache
from ..engine.errors import LivetintError
from ..engine.kernels import FATBIN
from ..engine.models import DEFAULT_MODEL, cache_folder, known_models
from ..engine.runners.sessions import default_threads
from ..engine.runners.tensorrt.driver import driver_present
from ..engine.runners.tensorrt.plan_folder import cached_plans
from ..engine.runners.tensorrt.versions import TARGETS
from ..kiosk.server.fonts import in_words, languages_without_glyphs
from ..kiosk.server.guard import page_address
from ..kiosk.settings import read_settings

NEEDED = ("numpy", "opencv-python-headless", "pillow", "onnx", "onnxruntime", "msgspec", "click")
# distribution: (module, what it is for, how to install it); the TensorRT targets are added in examine()
OPTIONAL = {
    "pycuda": ("pycuda", "the GPU runner", "pip install 'livetint[gpu]' (needs the CUDA toolkit)"),
    "torch": ("torch", "training and importing checkpoints", "pip install 'livetint[train]'"),
    "pi-heif": ("pi_heif", "HEIC photographs", "pip install 'livetint[heif]'"),
    "av": ("av", "videos", "pip install 'livetint[video]'"),
    "scipy": ("scipy", "Levin's optimiser in the bench", "pip install 'livetint[bench]'"),
}
TOOLS = {"nvcc": "the CUDA toolkit (kernels)", "nvidia-smi": "the NVIDIA driver"}
# Where the guide puts the settings of an exhibit (docs/kiosk.md).
KIOSK_SETTINGS = Path("/etc/livetint/kiosk.toml")
# Where installers put tools without adding the folder to PATH.
TOOL_FOLDERS = ("/usr/local/cuda/bin",)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--config", type=click.Path(path_type=Path), default=KIOSK_SETTINGS, show_default=True,
              help="Settings of the kiosk, for the address of its staff page.")  # fmt: skip
def doctor(as_json: bool, config: Path) -> None:
    """Examine this machine. The exit code is 0 if the bundled model can run here, 1 if not."""
    report = examine(config)
    click.echo(json.dumps(report, indent=1) if as_json else as_text(report))
    if not report["healthy"]:
        raise click.exceptions.Exit(1)


def examine(config: Path = KIOSK_SETTINGS) -> dict:
    """Everything doctor finds, as plain data. The keys are those of `livetint doctor --json`. config: the kiosk's."""
    optional = {t.distribution: (t.module, f"{t.title} plans", t.install) for t in TARGETS.values()} | OPTIONAL
    models = {name: _state(folder) for name, folder in sorted(known_models().items())}
    return {
        "livetint": _version("livetint"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "threads": default_threads(),
        "packages": {name: _version(name) for name in NEEDED},
        "optional": {
            name: {"version": _version(name) if importlib.util.find_spec(module) else None, "for": use, "get": get}
            for name, (module, use, get) in optional.items()
        },
        "tools": {name: {"path": _tool(name), "for": use} for name, use in TOOLS.items()},
        "card": _gpu(),
        "kernels": FATBIN.is_file(),
        "plans": cached_plans(),
        "languages_without_glyphs": languages_without_glyphs(),
        "staff_page": _staff_page(config),
        "models": models,
        "cache": str(cache_folder()),
        "free_mib": _free_mib(user_cache()),
        "healthy": models.get(DEFAULT_MODEL) == "sound",
    }


def as_text(report: dict) -> str:
    """The report as text, one line for each thing."""
    lines = [
        f"livetint {report['livetint']}, Python {report['python']}, {report['machine']}, "
        f"{report['processors']} CPU cores ({report['threads']} used)",
        "packages  " + ", ".join(f"{name} {version or 'MISSING'}" for name, version in report["packages"].items()),
    ]
    for name, found in report["optional"].items():
        state = found["version"] or f"not installed ({found['for']}); {found['get']}"
        lines.append(f"{name:<9} {state}")
    for name, found in report["tools"].items():
        lines.append(f"{name:<9} {found['path'] or 'not found: ' + found['for']}")
    lines.append(f"GPU       {report['card']}")
    compiled = (
        "compiled in" if report["kernels"] else "not compiled in: pip install . -C cmake.define.LIVETINT_KERNELS=ON"
    )
    lines.append(f"kernels   {compiled}")
    lines += [f"plans     {folder}: {what}" for folder, what in report["plans"].items()]
    lines.append(f"fonts     {in_words(report['languages_without_glyphs'])}")
    lines.append(f"staff     {report['staff_page']}")
    lines += [f"model     {name}: {state}" for name, state in report["models"].items()]
    lines.append(f"cache     {report['cache']} ({report['free_mib']} MiB free)")
    lines.append("ready" if report["healthy"] else f"NOT ready: the model {DEFAULT_MODEL} cannot be used; reinstall")
    return "\n".join(lines)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu() -> str:
    if not driver_present():
        return "no NVIDIA driver"
    capability = compute_capability()
    return f"compute capability {capability}" if capability else "an NVIDIA driver, but no GPU"


def _tool(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(TOOL_FOLDERS))


def _staff_page(config: Path) -> str:
    """Where the staff page is, by the kiosk's settings; never its password."""
    if not config.is_file():
        return f"no page: there are no settings {config}"
    try:
        operator = read_settings(config)[0].operator
    except LivetintError as error:
        return f"unknown: {error}"
    if not operator.token:
        return f"no page: {config} sets no operator.token"
    return f"{page_address(operator.host, operator.port)} while the kiosk runs; its password is operator.token"


def _state(folder: Path) -> str:
    try:
        Bundle.load(folder)
    except LivetintError as error:
        return str(error)
    return "sound"


def _free_mib(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 2**20
