"""Found before the real one by processes that run on the stand-in driver."""

from __future__ import annotations

import os

from tests.fakecuda.tensorrt_standin import contents

globals().update(contents("tensorrt", os.environ.get("FAKECUDA_TENSORRT", "10.13.3")))
