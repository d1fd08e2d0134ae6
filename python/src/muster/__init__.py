"""Write a trainer for Muster in any Python framework.

A trainer is a module with a function ``train`` and, if it can, ``evaluate`` and ``initialize``::

    import muster

    def train(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Update:
        x, y = context.data()
        batches = context.batches(len(y))
        for rows in batches:
            loss, correct = step(parameters, x[rows], y[rows], task.local.rate)
            batches.add(loss, correct)
        return muster.Update(parameters, samples=len(y), metrics=batches.metrics())

    def evaluate(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Evaluation: ...

    def initialize(task: muster.Task, context: muster.Context) -> muster.Parameters: ...

``muster-trainer module:train JOBFOLDER`` does one job, ``muster-trainer --resident module:train`` does many, and
``muster-trainer check module:train`` tests the trainer. The trainer contract is described in docs/trainers.md.
"""

from .batches import Batches
from .budget import threads
from .context import Cancelled, Context
from .contract import Evaluation, Local, Model, Parameters, Task, Tensors, TrainerError, Update

__all__ = [
    "Batches",
    "Cancelled",
    "Context",
    "Evaluation",
    "Local",
    "Model",
    "Parameters",
    "Task",
    "Tensors",
    "TrainerError",
    "Update",
    "threads",
]
__version__ = "0.1.0"
