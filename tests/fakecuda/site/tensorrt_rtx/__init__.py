"""Found before the real one by processes that run on the stand-in driver."""

from __future__ import annotations

from tests.fakecuda.tensorrt_standin import contents

globals().update(contents("tensorrt-rtx", "1.7.1"))
