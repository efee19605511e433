"""What is checked before a model file is run: its seal, its graph without onnx, and its golden vectors."""
