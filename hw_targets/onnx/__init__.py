"""The ONNX engine: the exported graph in onnxruntime, spike for spike."""
