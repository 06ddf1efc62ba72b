"""Telemetry of dependencies is turned off when this module is imported; nothing leaves the machine.

ONNX Runtime's wheels from 1.29 on send telemetry unless these variables are set when it is loaded. So every package of
Livetint that imports onnxruntime imports this module first. Child processes inherit the variables.
"""

from __future__ import annotations

import os

OPT_OUTS = {"ORT_DISABLE_TELEMETRY": "1", "ORT_TELEMETRY_DISABLED": "1"}

os.environ.update(OPT_OUTS)
