"""What a trainer costs by itself: the import, the first job and the next one, and the memory that it keeps.

Processor time, not the clock's: what else a machine does must not count.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess

from .fleet import FleetError


def measure(fleet):
    """Runs the example's resident trainer without a fleet: one job to initialize, two equal ones to train."""
    folder = fleet.home / "measured"
    folder.mkdir()
    budget = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    program, example = fleet.members[0].program, fleet.members[0].example
    environment = {**os.environ, **program.get("environment", {}), **budget}
    log = fleet.home / "logs" / "measured.log"
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            program["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=example, text=True
        )
        try:
            return _measure(fleet, folder, process)
        finally:
            process.stdin.close()
            if process.wait(30) not in (0, None):
                print(log.read_text(errors="replace")[-2000:])


def _measure(fleet, folder, process):
    # Without a job in it: its answer shows that the trainer is imported and reads.
    _job(process, folder / "nothing")
    imported = _seconds(process)
    task = {
        "contract": 1,
        "job": "initialize",
        "task": "digits",
        "round": 0,
        "seed": 1,
        "model": _model(fleet),
        "local": {"epochs": 1, "batch": 8, "rate": 0.1, "momentum": 0, "weightDecay": 0, "proximal": 0, "seed": 1},
        "data": fleet.device_data(0),
    }
    (folder / "task.json").write_text(json.dumps(task))
    if fleet.step:
        # A step makes no model.
        subprocess.run([str(fleet.programs / "muster-train"), str(folder)], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(fleet.step, folder / "step.onnx")
        task["model"]["step"] = {"blob": f"sha256:{hashlib.sha256(fleet.step.read_bytes()).hexdigest()}"}
    elif _job(process, folder)["exit"] != 0:
        raise FleetError("the trainer cannot initialize its model")
    times = []
    for number in (1, 2, 3):
        (folder / "task.json").write_text(json.dumps({**task, "job": "train", "round": number}))
        before = _seconds(process)
        if _job(process, folder)["exit"] != 0:
            raise FleetError("the trainer failed")
        times.append(_seconds(process) - before)
    with open(f"/proc/{process.pid}/status") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return {"import": imported, "first": times[0], "next": min(times[1:]), "resident": resident / 1024}


def _seconds(process):
    """Processor time of the process so far, all of its threads."""
    with open(f"/proc/{process.pid}/stat") as status:
        fields = status.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _job(process, folder):
    process.stdin.write(json.dumps({"job": str(folder)}) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        answer = json.loads(line)
        if "done" in answer:
            return answer
    raise FleetError("the trainer ended")


def _model(fleet):
    """The task's model, from its line in the task file."""
    for line in fleet.task.read_text().splitlines():
        if line.startswith("model:"):
            fields = re.sub(r",\s*step:\s*\{[^}]*\}", "", line.partition("{")[2].rpartition("}")[0])
            return json.loads("{" + _quote(fields) + "}")
    raise FleetError("the task has no line `model: {…}`")


def _quote(fields):
    keyed = re.sub(r"(\w+):", r'"\1":', fields)
    return re.sub(r":\s*([A-Za-z][\w-]*)", r': "\1"', keyed)
