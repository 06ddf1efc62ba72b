from ..engine import telemetry as telemetry  # before onnxruntime is imported
