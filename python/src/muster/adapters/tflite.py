"""TensorFlow Lite with training signatures: ``train``, ``infer`` or ``evaluate``, ``get`` and ``set``.

A signature's names must not contain dots, so ``conv1.weight`` is called ``conv1_weight`` there. Layouts are Muster's:
transpose in the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

from ..budget import threads
from ..contract import Parameters, TrainerError


class Signatures:
    """A ``.tflite`` file with its signatures.

    :param path: the file.
    :param names: Muster's name for each of the signature's names for which replacing the last ``_`` by ``.`` does not give it.
    """

    def __init__(self, path: str, names: Mapping[str, str] | None = None) -> None:
        self.interpreter = _interpreter()(model_path=path, num_threads=threads())
        self.signatures: dict[str, Any] = self.interpreter.get_signature_list()
        for needed in ("train", "get", "set"):
            if needed not in self.signatures:
                raise TrainerError(f"{path} has no signature {needed!r}: it was exported for inference only")
        self._runners: dict[str, Any] = {}
        given = names or {}
        self._names = {name: given.get(name, ".".join(name.rsplit("_", 1))) for name in self.signatures["get"]["outputs"]}

    def call(self, signature: str, **inputs: Any) -> dict[str, Any]:
        """Runs a signature. Returns its outputs by name."""
        if signature not in self._runners:
            self._runners[signature] = self.interpreter.get_signature_runner(signature)
        result: dict[str, Any] = self._runners[signature](**inputs)
        return result

    def parameters(self) -> Parameters:
        """The values of the model's variables."""
        return {self._names[name]: numpy.array(value, copy=True) for name, value in self.call("get").items()}

    def load(self, given: Parameters) -> None:
        """Sets the model's variables. Raises :class:`muster.TrainerError` when the names differ from the signature's."""
        wanted = {muster: name for name, muster in self._names.items()}
        if set(wanted) != set(given):
            difference = ", ".join(sorted(set(wanted) ^ set(given)))
            raise TrainerError(f"the global model's tensors differ from those of the signature: {difference}")
        self.call("set", **{wanted[name]: numpy.asarray(value, order="C") for name, value in given.items()})


def _interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            raise TrainerError("no TensorFlow Lite interpreter is installed: pip install ai-edge-litert") from error
    return Interpreter
