"""Livetint's run time: a photograph and hints in, colours out."""

from . import telemetry  # before everything that imports onnxruntime
from .bundle import Bundle
from .colour.global_hints import GlobalHints
from .errors import LivetintError
from .hints import Hint
from .image.photo import Photo
from .models import find_model
from .painter import Painter
from .runners.base import Runner
from .runners.onnx import OnnxRunner
from .session import Session

__all__ = [
    "Bundle",
    "GlobalHints",
    "Hint",
    "LivetintError",
    "OnnxRunner",
    "Painter",
    "Photo",
    "Runner",
    "Session",
    "find_model",
    "telemetry",
]
