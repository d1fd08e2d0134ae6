"""``muster-export-onnx``: a PyTorch model's training step as an ONNX graph. The format: docs/trainers.md, "ONNX training step".

The step (forward, loss, backward, optimizer) is traced to one graph of ATen operators. Operators that ONNX does not have (the backward
passes of convolution and pooling) are replaced by others, and PyTorch's own exporter converts the graph to ONNX. Needs
``pip install 'muster[export]'``.
"""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from .contract import Parameters, TrainerError

OPSET = 18


def export(
    model: Any,
    batch: int,
    sample: Sequence[int],
    path: Path,
    *,
    tokens: bool = False,
    momentum: bool = False,
    weight_decay: bool = False,
    proximal: bool = False,
    loss: Callable[[Any, Any], Any] | None = None,
    classifies: bool = True,
) -> Parameters:
    """Writes the training step of a ``torch.nn.Module``.

    :param batch: the number of samples of one step; smaller batches are filled up.
    :param sample: the shape of one sample, such as ``(1, 8, 8)``.
    :param tokens: whether samples are whole numbers (int64) instead of float32.
    :param momentum: whether the step supports ``local.momentum`` of the task, which needs a state per tensor.
    :param weight_decay: whether the step supports ``local.weightDecay``.
    :param proximal: whether the step supports ``local.proximal``.
    :param loss: a function of outputs and classes with **one value per sample**; cross-entropy by default.
    :param classifies: whether the outputs are scores of classes, so that ``correct`` can be counted.
    :returns: the model's first parameters, from which a task may start.
    """
    import torch

    from .adapters import torch as bridge

    check(model)
    each = loss or (lambda outputs, classes: torch.nn.functional.cross_entropy(outputs, classes, reduction="none"))
    first = bridge.parameters(model)
    names = list(first)
    trained = [name for name in names if first[name].dtype.kind == "f" and name in dict(model.named_parameters())]
    fixed = [name for name in names if name not in trained]
    states = [f"state.{name}" for name in trained] if momentum else []
    scalars = ["rate", *(["momentum"] * momentum), *(["weightDecay"] * weight_decay), *(["proximal"] * proximal)]
    bases = [f"base.{name}" for name in trained] if proximal else []
    inputs = ["x", "y", "weights", *scalars, *names, *bases, *states]

    def step(*values: Any) -> tuple[Any, ...]:
        v = dict(zip(inputs, values))
        held = {name: v[name] for name in fixed}

        def run(*parameters: Any) -> Any:
            outputs = torch.func.functional_call(model, {**dict(zip(trained, parameters)), **held}, (v["x"],))
            outputs = getattr(outputs, "logits", outputs)
            total = (each(outputs, v["y"]) * v["weights"]).sum()
            hits = ((outputs.argmax(-1) == v["y"]).to(v["weights"].dtype) * v["weights"]).sum() if classifies else total
            return total / v["weights"].sum(), (total, hits)

        gradients, (total, hits) = torch.func.grad(run, argnums=tuple(range(len(trained))), has_aux=True)(*(v[name] for name in trained))
        after, velocities = [], []
        for name, slope in zip(trained, gradients):
            if weight_decay:
                slope = slope + v["weightDecay"] * v[name]
            if proximal:
                slope = slope + v["proximal"] * (v[name] - v[f"base.{name}"])
            if momentum:
                slope = slope + v["momentum"] * v[f"state.{name}"]
                velocities.append(slope)
            after.append(v[name] - v["rate"] * slope)
        return (total, *((hits,) if classifies else ()), *after, *velocities)

    x = torch.zeros(batch, *sample, dtype=torch.int64) if tokens else torch.rand(batch, *sample)
    example = [x, torch.zeros(batch, dtype=torch.int64), torch.ones(batch), *(torch.tensor(0.5) for _ in scalars)]
    tensors = {name: bridge._tensor(value) for name, value in first.items()}
    # Copies: the tracer takes one tensor that comes twice for one input.
    example += [tensors[name] for name in names] + [tensors[name].clone() for name in trained[: len(bases)]]
    example += [torch.zeros_like(tensors[name]) for name in trained[: len(states)]]
    outputs = ["loss", *(["correct"] * classifies), *(f"next.{name}" for name in trained), *(f"next.{name}" for name in states)]
    _write(
        step,
        example,
        inputs,
        outputs,
        path,
        {
            "muster.step": "1",
            "muster.batch": str(batch),
            "muster.input": json.dumps(list(sample), separators=(",", ":")),
            "muster.parameters": json.dumps(names, separators=(",", ":")),
            "muster.states": json.dumps(states, separators=(",", ":")),
        },
    )
    return first


def check(model: Any) -> None:
    """Raises :class:`TrainerError` for layers whose training depends on more than parameters and samples."""
    for name, module in model.named_modules():
        kind = type(module).__name__
        if "BatchNorm" in kind:
            raise TrainerError(f"{name} is {kind}, whose running statistics cannot be exported: use GroupNorm or LayerNorm")
        if "Dropout" in kind and getattr(module, "p", 0) > 0 and module.training:
            raise TrainerError(f"{name} is {kind}, but a step must not draw random numbers: set p = 0, or call .eval() on it")


def _write(
    step: Callable[..., Any], example: list[Any], inputs: list[str], outputs: list[str], path: Path, metadata: dict[str, str]
) -> None:
    import onnx
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from .decompositions import table

    # Attention as matrix products: the fused kernels' backward passes are no ONNX operators.
    with sdpa_kernel(SDPBackend.MATH):
        traced = make_fx(step, decomposition_table=table(), tracing_mode="fake")(*example)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                traced,
                tuple(example),
                dynamo=True,
                opset_version=OPSET,
                input_names=inputs,
                output_names=outputs,
                optimize=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise TrainerError(f"PyTorch's exporter cannot turn the step into ONNX: {_cause(error)}") from error
    model = program.model_proto
    found = [value.name for value in model.graph.input], [value.name for value in model.graph.output]
    if found != (inputs, outputs):
        missing = sorted(set(inputs) - set(found[0])) + sorted(set(outputs) - set(found[1]))
        raise TrainerError(f"the exporter changed inputs or outputs: {', '.join(missing[:5])}: is a tensor of the model never used?")
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign:
        raise TrainerError(f"the graph needs operators of {', '.join(foreign)}, which plain ONNX Runtime does not have")
    _strip(model)
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    model.producer_name = "muster-export-onnx"
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _cause(error: BaseException) -> str:
    """The innermost error on one line, because the outer errors are pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[0]


def _strip(model: Any) -> None:
    """Removes the origin of each operator: stack traces with folders of this machine, which take more space than the graph itself."""
    del model.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    for holder in (model.graph.node, model.graph.input, model.graph.output, model.graph.initializer):
        for value in holder:
            value.doc_string = ""
            if hasattr(value, "metadata_props"):
                del value.metadata_props[:]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="muster-export-onnx", description="Writes a PyTorch model's training step as ONNX, for devices without PyTorch."
    )
    parser.add_argument("model", metavar="MODULE:FUNCTION", help="makes the torch.nn.Module, or is its class; FILE.py:FUNCTION also works")
    parser.add_argument("output", type=Path, metavar="STEP.onnx")
    parser.add_argument("--batch", type=int, required=True, help="samples of one step: the largest local.batch of a task")
    parser.add_argument("--input", required=True, metavar="SIZES", help="the shape of one sample, such as 1,8,8")
    parser.add_argument("--tokens", action="store_true", help="samples are whole numbers (int64)")
    parser.add_argument("--momentum", action="store_true", help="the task may set local.momentum")
    parser.add_argument("--weight-decay", action="store_true", help="the task may set local.weightDecay")
    parser.add_argument("--proximal", action="store_true", help="the task may set local.proximal (FedProx)")
    parser.add_argument("--initial", type=Path, metavar="FILE.safetensors", help="also write the model's first parameters")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first parameters")
    options = parser.parse_args(arguments)
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        import torch
    except ImportError as error:
        print(f"muster-export-onnx: {error.name} is not installed: pip install 'muster[export]'", file=sys.stderr)
        return 1
    try:
        sample = [int(size) for size in options.input.split(",")]
        torch.manual_seed(options.seed)
        first = export(
            _make(options.model),
            options.batch,
            sample,
            options.output,
            tokens=options.tokens,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            proximal=options.proximal,
        )
        if options.initial:
            from .tensors import save

            save(first, options.initial)
    except TrainerError as error:
        print(f"muster-export-onnx: {error}", file=sys.stderr)
        return 1
    count = sum(value.size for value in first.values())
    print(f"{options.output}: {options.output.stat().st_size} bytes, {len(first)} tensors, {count} parameters, batch {options.batch}")
    return 0


def _make(name: str) -> Any:
    from .runner import import_module

    path, separator, attribute = name.rpartition(":")
    if not separator:
        raise TrainerError(f"{name}: give MODULE:FUNCTION")
    target = getattr(import_module(path), attribute, None)
    if target is None:
        raise TrainerError(f"{path} has no {attribute!r}")
    made = target() if inspect.isclass(target) or inspect.isfunction(target) else target
    if not hasattr(made, "named_parameters"):
        raise TrainerError(f"{name} is {type(made).__name__}, not a torch.nn.Module")
    return made


if __name__ == "__main__":
    sys.exit(main())
