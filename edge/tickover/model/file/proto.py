"""Parses a model file with ``protobuf``, once `scan` has found that it holds only what ``fields`` describes.

onnxruntime brings ``protobuf`` but no Python classes for ONNX, and the ``onnx`` package is too large for the device.
"""

from typing import Any, Final

from google.protobuf.message import DecodeError

from tickover.core.protobuf import message_class
from tickover.errors import ModelError
from tickover.model.file.fields import MESSAGES
from tickover.model.file.scan import scan

_Model: Final = message_class("tickover.onnx", MESSAGES, "Model")


def parse(data: bytes) -> Any:
    """The model message; ModelError when the bytes are no protobuf or hold anything that is not described here."""
    scan(data)
    model = _Model()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelError("protobuf: expected an ONNX model, the bytes cannot be read as one") from error
    return model
