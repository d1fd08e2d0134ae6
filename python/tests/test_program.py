"""muster-trainer as the agent runs it: exit statuses, the protocol, and the files that are written."""

import json
import signal
import stat
import time

import numpy
import pytest
from conftest import MODEL

GOOD = """
    def train(task, parameters, context):
        batches = context.batches(21)
        for rows in batches:
            batches.add(1.5, 3)
        return muster.Update({name: value + 1 for name, value in parameters.items()}, 21, batches.metrics(), initial_loss=2)

    def evaluate(task, parameters, context):
        return muster.Evaluation(21, {"loss": float(parameters["fc3.bias"].sum())})
"""


def test_a_training_job_leaves_update_and_metrics(job):
    job.task()
    given = job.model()
    job.source(GOOD)
    status, lines, _ = job.run()
    assert status == 0
    assert job.metrics() == {"samples": 21, "metrics": {"loss": 1.5, "accuracy": pytest.approx(9 / 21)}, "initialLoss": 2}
    assert all(numpy.array_equal(job.update()[name], given[name] + 1) for name in given)
    assert lines[-1] == {"progress": 1, "epoch": 2, "loss": 1.5}


def test_a_job_without_initialize_makes_the_built_in_model(job):
    job.task("initialize", data=None)
    job.source(GOOD)
    assert job.run()[0] == 0
    assert (job.folder / "global.safetensors").exists()
    assert job.metrics() == {"samples": 0, "metrics": {}}


def test_initialize_of_the_trainer_is_used(job):
    job.task("initialize", model={"type": "mine"})
    job.source(
        GOOD
        + """
    def initialize(task, context):
        import numpy
        return {"w": numpy.full(3, task.seed, numpy.float32)}
    """
    )
    assert job.run()[0] == 0
    from safetensors.numpy import load_file

    assert load_file(job.folder / "global.safetensors")["w"].tolist() == [5, 5, 5]


def test_initialize_declares_buffers_and_train_sees_them(job):
    job.task("initialize", model={"type": "mine"})
    source = """
    import numpy

    def initialize(task, context):
        return muster.Tensors({"w": numpy.ones(2, numpy.float32), "ema": numpy.zeros(2, numpy.float32)}, ["ema"])

    def train(task, parameters, context):
        assert parameters.buffers == ("ema",), parameters.buffers
        return muster.Update(parameters, 1)
    """
    job.source(source)
    assert job.run()[0] == 0
    raw = (job.folder / "global.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert header["__metadata__"] == {"muster.buffers": '["ema"]'}
    job.task("train", model={"type": "mine"})
    assert job.run()[0] == 0
    job.source(source.replace('["ema"])', '["em"])'))
    job.task("initialize", model={"type": "mine"})
    status, log = job.run()[0], job.run()[-1]
    assert status == 1 and "em is declared as a buffer, but is not a tensor of the model" in str(log)


def test_a_trainers_own_options_reach_it_as_they_are(job):
    options = {"optimizer": "adamw", "warmup": 100, "rates": [0.1, {"deep": None}], "on": True}
    job.task(model={**MODEL, "options": {"width": 0.5}}, local={"options": options})
    job.model()
    job.source(f"""
    def train(task, parameters, context):
        assert task.local.options == {options!r}, task.local.options
        assert task.model.options == {{"width": 0.5}}, task.model.options
        return muster.Update(parameters, 1)
    """)
    assert job.run()[0] == 0
    job.task()
    job.source("""
    def train(task, parameters, context):
        assert task.local.options == {} and task.model.options == {}
        return muster.Update(parameters, 1)
    """)
    assert job.run()[0] == 0


def test_a_model_that_nobody_initializes_is_said(job):
    job.task("initialize", model={"type": "mine"})
    job.source(GOOD)
    status, _, log = job.run()
    assert status == 1 and "the model type 'mine' is not built in" in log


def test_evaluate_leaves_only_metrics(job):
    job.task("evaluate")
    job.model()
    job.source(GOOD)
    assert job.run()[0] == 0
    assert job.metrics() == {"samples": 21, "metrics": {"loss": 0}}
    assert not (job.folder / "update.safetensors").exists()


def test_a_trainer_may_be_an_object_with_methods(job):
    job.task()
    job.model()
    job.source("""
    class Mine:
        def train(self, task, parameters, context):
            return muster.Update(parameters, 1)
    """)
    assert job.run("Mine")[0] == 0


@pytest.mark.parametrize(
    "body, reason",
    [
        ("return muster.Update(parameters, 0)", "samples is 0"),
        ("return muster.Update(parameters, float('nan'))", "samples is nan"),
        ("return muster.Update(parameters, 5, {'loss': float('inf')})", "the metric loss is inf"),
        ("return muster.Update(parameters, 5, {'loss': 'low'})", "the metric loss is str"),
        ("return muster.Update(parameters, 5, {'': 1})", "printable and 1 to 63 bytes"),
        ("return muster.Update(parameters, 5, {str(i): i for i in range(65)})", "at most 64"),
        ("return muster.Update(parameters, 5, {}, initial_loss=float('nan'))", "initial_loss is nan"),
        ("return parameters", "not muster.Update"),
        ("return muster.Update(list(parameters.values()), 5)", "not a dictionary of arrays"),
        ("parameters.pop('fc1.bias'); return muster.Update(parameters, 5)", "fc1.bias is missing"),
        ("parameters['more'] = parameters['fc1.bias']; return muster.Update(parameters, 5)", "more is not in the global model"),
        ("parameters['fc1.weight'] = parameters['fc1.weight'].T; return muster.Update(parameters, 5)", "is it transposed?"),
        ("parameters['fc1.bias'] = parameters['fc1.bias'].astype('f8'); return muster.Update(parameters, 5)", "is float64"),
        ("parameters['fc1.bias'][3] = float('nan'); return muster.Update(parameters, 5)", "1 of 120 numbers that are not finite"),
        ("parameters['fc1.bias'] = [0.0] * 120; return muster.Update(parameters, 5)", "not a numpy array"),
        ("context.batches(4).add(float('nan'))", "the rate 0.05 may be too high"),
        ("context.batches(0)", "no data to train on"),
        ("import sys; sys.exit(0)", "sys.exit(0) in the middle of a job"),
        ("raise RuntimeError('no camera')", "RuntimeError: no camera"),
        ("raise muster.TrainerError('no camera')", "no camera"),
        ("task.local.only(); return muster.Update(parameters, 5)", "local.momentum to 0.9"),
    ],
)
def test_a_bad_result_is_refused_before_anything_is_written(job, body, reason):
    job.task(local={"momentum": 0.9})
    job.model()
    job.source(f"""
    def train(task, parameters, context):
        {body}
    """)
    status, _, log = job.run()
    assert status == 1
    assert reason in log.strip().splitlines()[-1]
    assert not job.is_complete and not (job.folder / "update.safetensors").exists()


def test_what_libraries_print_does_not_disturb_the_protocol(job):
    job.task()
    job.model()
    job.source("""
    import os
    print("from the import")
    os.write(1, b'{"progress": 0.123}\\n')
    def train(task, parameters, context):
        print('{"done": "everything", "exit": 0}')
        os.system("echo from a child")
        os.write(1, b"from C, without a newline")
        context.progress(0.5)
        return muster.Update(parameters, 1)
    """)
    status, lines, log = job.run()
    assert status == 0 and lines == [{"progress": 0.5}]
    assert all(text in log for text in ("from the import", "from a child", "from C", '"done"'))


def test_user_code_cannot_eat_jobs_from_standard_input(job):
    job.task()
    job.model()
    job.source("""
    import sys
    def train(task, parameters, context):
        assert sys.stdin.read() == ""
        return muster.Update(parameters, 1)
    """)
    process = job.start("--resident", f"{job.trainer}:train")
    order = json.dumps({"job": str(job.folder)}) + "\n"
    out, log = process.communicate(order * 3, timeout=60)
    assert [json.loads(line)["exit"] for line in out.splitlines()] == [0, 0, 0], log
    assert process.returncode == 0


def test_a_resident_trainer_survives_failed_jobs_and_nonsense(job):
    job.task()
    job.model()
    job.source("""
    count = 0
    def train(task, parameters, context):
        global count
        count += 1
        if count == 1:
            raise ValueError("first")
        return muster.Update(parameters, count)
    """)
    process = job.start("--resident", f"{job.trainer}:train")
    order = json.dumps({"job": str(job.folder)}) + "\n"
    out, log = process.communicate("nonsense\n{}\n" + order + order, timeout=60)
    assert [json.loads(line) for line in out.splitlines()] == [{"done": str(job.folder), "exit": code} for code in (1, 0)]
    # The process is the same: its state stays.
    assert job.metrics()["samples"] == 2 and "is not {" in log


def test_a_resident_trainer_that_cannot_be_imported_answers_with_the_reason(job):
    job.task()
    job.model()
    job.source("import nothing_like_this")
    process = job.start("--resident", f"{job.trainer}:train")
    out, log = process.communicate(json.dumps({"job": str(job.folder)}) + "\n", timeout=60)
    assert json.loads(out)["exit"] == 1
    assert "No module named 'nothing_like_this'" in log


def wait_for_progress(process):
    line = process.stdout.readline()
    assert "progress" in line, process.stderr.read()


@pytest.mark.parametrize(
    "body",
    [
        # Reports progress now and then.
        "while True:\n            context.progress(0.1)",
        # Reports once, then works in Python.
        "context.progress(0.1)\n        while True: pass",
        # Reports once, then sits in a call that does not return.
        "context.progress(0.1)\n        import time; time.sleep(1000)",
        # Swallows errors.
        "context.progress(0.1)\n        while True:\n            try: time.sleep(1)\n            except Exception: pass",
        # Swallows everything.
        "context.progress(0.1)\n        while True:\n            try: time.sleep(1)\n            except BaseException: pass",
    ],
    ids=["progress", "python", "native", "swallows errors", "swallows all"],
)
@pytest.mark.parametrize("resident", [False, True], ids=["one-shot", "resident"])
def test_sigterm_ends_a_job_with_status_3(job, body, resident):
    job.task()
    job.model()
    job.source(f"""
    import time
    def train(task, parameters, context):
        {body}
    """)
    process = job.start(*(["--resident", f"{job.trainer}:train"] if resident else [f"{job.trainer}:train", str(job.folder)]))
    if resident:
        process.stdin.write(json.dumps({"job": str(job.folder)}) + "\n")
        process.stdin.flush()
    wait_for_progress(process)
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 3
    assert time.monotonic() - start < 5
    assert not job.is_complete


def test_a_handler_that_a_framework_takes_while_it_is_imported_is_taken_back(job):
    job.task()
    job.model()
    job.source("""
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def train(task, parameters, context):
        while True:
            context.progress(0.1)
    """)
    process = job.start(f"{job.trainer}:train", str(job.folder))
    wait_for_progress(process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 3


def test_a_forked_worker_that_is_ended_does_not_end_the_trainer(job):
    job.task()
    job.model()
    job.source("""
    import multiprocessing, time
    def train(task, parameters, context):
        for _ in range(30):
            worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,), daemon=True)
            worker.start()
            worker.terminate()
            worker.join(20)
            assert worker.exitcode == -15, worker.exitcode
        for i in range(15):
            time.sleep(0.1)
            context.progress(i / 15)
        return muster.Update(parameters, 1)
    """)
    status, _, log = job.run()
    assert status == 0, log


def test_an_idle_resident_trainer_ends_with_sigterm_and_with_its_input(job):
    job.source(GOOD)
    process = job.start("--resident", f"{job.trainer}:train")
    process.stdin.write(json.dumps({"job": "/nowhere"}) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"done": "/nowhere", "exit": 1}
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    process = job.start("--resident", f"{job.trainer}:train")
    process.communicate("", timeout=20)
    assert process.returncode == 0


def test_a_native_abort_leaves_the_log_and_no_metrics(job):
    job.task()
    job.model()
    job.source("""
    import os
    def train(task, parameters, context):
        print("the last words")
        os.abort()
    """)
    status, _, log = job.run()
    assert status == -signal.SIGABRT and "the last words" in log
    assert not job.is_complete


def test_metrics_come_last_and_whole(job, monkeypatch):
    from muster import runner, tensors

    order = []
    monkeypatch.setattr(tensors, "save", lambda parameters, path: order.append(path.name))
    monkeypatch.setattr(tensors, "write_text", lambda text, path: order.append(path.name))
    runner._writer(job.folder, {"w": 1}, "update.safetensors", {"samples": 1})()
    assert order == ["update.safetensors", "metrics.json"]


def test_leftovers_of_an_earlier_attempt_go_first(job):
    job.task()
    job.model()
    (job.folder / "metrics.json").write_text("{}")
    (job.folder / "update.safetensors").write_text("old")
    job.source("def train(task, parameters, context):\n    raise RuntimeError('no')")
    assert job.run()[0] == 1
    assert not job.is_complete and not (job.folder / "update.safetensors").exists()


def test_files_can_be_read_by_an_agent_of_another_user(job):
    job.task()
    job.model()
    job.source(GOOD)
    assert job.run()[0] == 0
    for name in ("update.safetensors", "metrics.json"):
        assert stat.S_IMODE((job.folder / name).stat().st_mode) & 0o044 == 0o044
    assert sorted(path.name for path in job.folder.iterdir()) == ["global.safetensors", "metrics.json", "task.json", "update.safetensors"]


def test_the_state_folder_stays(job):
    job.task()
    job.model()
    job.source("""
    def train(task, parameters, context):
        seen = context.state / "seen"
        count = int(seen.read_text()) + 1 if seen.exists() else 1
        seen.write_text(str(count))
        return muster.Update(parameters, count)
    """)
    for count in (1, 2):
        assert job.run()[0] == 0
        assert job.metrics()["samples"] == count


def test_threads_are_limited_before_user_code_is_imported(job, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    job.task()
    job.model()
    job.source("""
    import os
    assert os.environ["OPENBLAS_NUM_THREADS"] == os.environ["TF_NUM_INTRAOP_THREADS"] == "1" and muster.threads() == 1
    def train(task, parameters, context):
        return muster.Update(parameters, 1)
    """)
    assert job.run()[0] == 0


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"contract": 2}, "contract version 2, but this trainer knows versions up to 1"),
        ({"job": "dance"}, "unknown job 'dance'"),
        ({"model": None}, "TypeError"),
    ],
)
def test_a_task_that_is_not_understood_is_said(job, change, reason):
    job.task()
    fields = json.loads((job.folder / "task.json").read_text())
    (job.folder / "task.json").write_text(json.dumps({**fields, **change}))
    job.source(GOOD)
    status, _, log = job.run()
    assert status == 1 and reason in log


def test_progress_is_written_ten_times_a_second_at_most(job):
    job.task()
    job.model()
    job.source("""
    def train(task, parameters, context):
        for i in range(20000):
            context.progress(i / 20000, loss=float("nan"))
        context.progress(1, epoch=1, loss=0.5)
        return muster.Update(parameters, 1)
    """)
    status, lines, _ = job.run()
    assert status == 0 and len(lines) < 30
    assert lines[0] == {"progress": 0} and lines[-1] == {"progress": 1, "epoch": 1, "loss": 0.5}


@pytest.mark.parametrize(
    "name, reason",
    [
        ("nowhere:train", "there is no module 'nowhere'"),
        ("{file}:dance", "has no 'dance'"),
        ("{file}.py:train", "does not exist"),
        ("json:JSONDecodeError", ""),
    ],
)
def test_a_trainer_that_does_not_exist_is_said(job, name, reason):
    job.task()
    job.model()
    job.source(GOOD)
    process = job.start(name.format(file=job.trainer), str(job.folder))
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1 and reason in log
