"""PyTorch: a module's state_dict, or selected tensors of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from ..budget import threads
from ..contract import Parameters, Tensors
from .selection import complain, select


def limit_threads() -> None:
    """Limits PyTorch to the number of threads that the agent allows."""
    import torch

    torch.set_num_threads(threads())


def parameters(module: Any, names: Sequence[str] | None = None) -> Tensors:
    """The module's tensors as Muster's parameters. The module's buffers are declared as such.

    Tied weights (one tensor under two names) appear once, under the first name, as in files of Transformers.

    :param names: names or patterns (``classifier.*``) of tensors; by default all, including buffers such as batch normalization's.
    """
    state = module.state_dict()
    found: dict[str, numpy.ndarray[Any, Any]] = {}
    seen = set()
    for name in select(state, names):
        tensor = state[name]
        if _place(tensor) in seen:
            continue
        seen.add(_place(tensor))
        found[name] = _array(tensor)
    trained = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    return Tensors(found, (name for name in found if name not in trained))


def load(module: Any, given: Parameters, names: Sequence[str] | None = None) -> None:
    """Copies parameters into the module in place, so that its optimizers and its device stay.

    Raises :class:`muster.TrainerError` for a missing tensor (a tied one may be missing), an extra one, or a different shape.
    """
    import torch

    state = module.state_dict()
    wanted = select(state, names)
    present = {_place(state[name]) for name in wanted if name in given}
    problems = [f"{name} is missing" for name in wanted if name not in given and _place(state[name]) not in present]
    problems += [f"{name} is not in the module" for name in given if name not in state]
    for name in wanted:
        if name in given and tuple(given[name].shape) != tuple(state[name].shape):
            problems.append(f"{name} is {list(given[name].shape)}, but the module has {list(state[name].shape)}")
    complain(problems, "the global model does not fit the module")
    with torch.no_grad():
        for name in wanted:
            if name in given:
                state[name].copy_(_tensor(given[name]))


def _place(tensor: Any) -> Any:
    return (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride())) if tensor.numel() else id(tensor)


def _array(tensor: Any) -> numpy.ndarray[Any, Any]:
    import torch

    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        # numpy has no such type, ml_dtypes does.
        import ml_dtypes

        array: numpy.ndarray[Any, Any] = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16).copy()
        return array
    # A copy: the module goes on changing, or a resident trainer trains it again.
    return numpy.array(tensor.numpy(), copy=True)


def _tensor(array: numpy.ndarray[Any, Any]) -> Any:
    import torch

    array = numpy.asarray(array, order="C")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(numpy.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array)


def base(module: Any, given: Parameters) -> dict[str, Any]:
    """Copies of the global model's tensors for FedProx. Call it once for a job and pass the result to :func:`proximal`."""
    return {name: _tensor(given[name]).clone() for name, _ in module.named_parameters() if name in given}


def proximal(module: Any, base: dict[str, Any], mu: float) -> Any:
    """The term (μ/2)‖w − base‖² that FedProx adds to the loss. Li et al. 2020."""
    return 0.5 * mu * sum(((parameter - base[name]) ** 2).sum() for name, parameter in module.named_parameters() if name in base)
