"""muster-trainer check finds what is wrong with a trainer."""

import json
import subprocess
import sys

import pytest
from conftest import EXAMPLES


def check(trainer, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "muster", "check", str(trainer), "--seconds", "30", *arguments], capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout


def test_a_good_trainer_has_nothing_wrong():
    status, text = check(f"{EXAMPLES}/numpy/trainer.py:train")
    assert status == 0, text
    assert "ERROR" not in text and "note" not in text and "stops" in text


def test_the_data_of_an_agent_file_is_used():
    status, text = check(f"{EXAMPLES}/numpy/trainer.py:train", "--data", str(EXAMPLES / "numpy/agent.json"))
    assert status == 0 and "evaluate: 719 samples" in text or "evaluate: 718 samples" in text, text


@pytest.mark.parametrize(
    "source, said",
    [
        ("import nothing_like_this", "ERROR the trainer cannot be imported"),
        ("def train(task, parameters, context): return muster.Update(parameters, 1)", "ERROR train returned the global model unchanged"),
        ("def train(task, parameters, context): return muster.Update({}, 1)", "ERROR train: the result is refused"),
        ("def train(task, parameters, context): import os; os.abort()", "killed by SIGABRT"),
        (
            "import random\n"
            "def train(task, parameters, context): return muster.Update({n: v + random.random() for n, v in parameters.items()}, 1)",
            "note  the same job twice gave different parameters",
        ),
        (
            "def train(task, parameters, context): return muster.Update({n: v + 1 for n, v in parameters.items()}, 1)",
            "has no function `evaluate`",
        ),
        (
            "def train(task, parameters, context): return muster.Update({n: v + 1 for n, v in parameters.items()}, 1)",
            "note  another task.seed gave the same parameters",
        ),
    ],
)
def test_a_bad_trainer_is_told_what_is_wrong(tmp_path, source, said):
    trainer = tmp_path / "mine.py"
    trainer.write_text("import muster\n" + source)
    status, text = check(f"{trainer}:train")
    assert said in text
    assert status == (1 if "ERROR" in said or "killed" in said else 0), text


def test_a_trainer_without_progress_is_told(tmp_path):
    trainer = tmp_path / "mine.py"
    trainer.write_text(
        "import muster, time\n"
        "def train(task, parameters, context):\n"
        "    if task.local.epochs > 2: time.sleep(100)\n"
        "    return muster.Update({n: v + 1 for n, v in parameters.items()}, 1)\n"
    )
    status, text = check(f"{trainer}:train", "--seconds", "2", "--local", json.dumps({}))
    assert status == 0 and "note  train reports no progress" in text and "ok    stops" in text, text
