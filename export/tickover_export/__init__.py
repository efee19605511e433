"""Weights to one sealed .onnx file; numpy and onnx, no torch."""
