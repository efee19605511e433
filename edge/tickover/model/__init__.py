"""Checks, opens and runs a model file: the only onnxruntime import."""
