"""An onnxruntime session bound to numpy arrays: no copies, no feed dictionaries, no allocation per call."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tickover.core.manifest import Manifest
from tickover.core.values import FloatArray
from tickover.errors import ModelError

CHUNK: Final = 512
"""Ticks per call of the graph: larger ones gain nothing, and cost memory."""

BUDGET: Final = 2**19
"""Numbers in the windows of one call."""


class Bound:
    """One call reads the input arrays and writes the output arrays in place.

    All arrays must be C-contiguous float32; those given here are kept alive. A caller binds once and calls often.
    """

    def __init__(self, session: Any, inputs: Mapping[str, FloatArray], outputs: Mapping[str, FloatArray]) -> None:
        self._arrays = (*inputs.values(), *outputs.values())
        self._binding = session.io_binding()
        self._run = session.run_with_iobinding
        self.rebind(inputs, outputs)

    def rebind(self, inputs: Mapping[str, FloatArray], outputs: Mapping[str, FloatArray]) -> None:
        """Bind other arrays under some of the names; the caller keeps these alive until after the next call."""
        for bind, arrays in ((self._binding.bind_input, inputs), (self._binding.bind_output, outputs)):
            for name, array in arrays.items():
                if array.dtype != np.float32 or not array.flags.c_contiguous:
                    raise ValueError(f"{name}: expected a C-contiguous float32 array")
                bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def __call__(self) -> None:
        """Run the graph once; ModelError when it cannot run."""
        try:
            self._run(self._binding)
        except Exception as error:  # onnxruntime's errors share no narrower base
            raise ModelError(
                f"onnxruntime: expected the model to run, got: {str(error).strip().splitlines()[0]}"
            ) from error


def call_size(manifest: Manifest) -> int:
    """The largest T * B of one call; less than ``CHUNK`` when a seq2seq model lays many windows side by side."""
    window = (manifest.network.window or 1) * 2 * len(manifest.signals)
    return max(1, min(CHUNK, BUDGET // window))
