"""A whole fleet on free ports of 127.0.0.1: mosquitto, central, one region, two devices."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

PROGRAMS = ["muster", "muster-central", "muster-region", "muster-agent", "muster-train"]
BUILT_IN = ("lenet5", "mlp", "softmax")


class FleetError(Exception):
    """A failure of the fleet or of a trainer. The message gives the reason."""


def executables(root):
    """The folder of the built programs."""
    named = os.environ.get("MUSTER_BIN")
    folders = [pathlib.Path(named)] if named else [root / ".build/release", root / ".build/debug"]
    for folder in folders:
        if all(os.access(folder / program, os.X_OK) for program in PROGRAMS):
            return folder
    raise FleetError(f"{', '.join(PROGRAMS)} are not all in {' or '.join(map(str, folders))}; run swift build, or set MUSTER_BIN")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Member:
    """One device's trainer: an example with its virtual environment, or (without an example) the built-in one.

    With ``library``, a libonnxruntime.so, the device has no Python, and no other program to find either.
    """

    def __init__(self, programs, example=None, python=None, library=None):
        self.example = example
        self.name = None
        if example is None:
            self.program = {"command": [str(programs / "muster-train"), "--resident"], "resident": True}
            self.data = {}
            return
        agent = json.loads((example / "agent.json").read_text())
        ((self.name, self.program),) = agent["trainers"].items()
        command = list(self.program["command"])
        if library:
            command[0] = str(programs / command[0])
            self.program["environment"] = {**self.program["environment"], "MUSTER_ONNXRUNTIME": str(library), "PATH": ""}
        else:
            # This run's virtual environment in place of the example's own.
            command[0] = command[0].replace(".venv/bin/", f"{python.parent}/")
        command = [str(example / part) if (example / part.partition(":")[0]).exists() else part for part in command]
        self.program = {**self.program, "command": command}
        own = {key: value for key, value in agent["data"].items() if key not in ("format", "images", "labels", "partition")}
        self.data = {key: str(example / value) if (example / str(value)).is_file() else value for key, value in own.items()}


class Fleet:
    """A fleet with one device for each member, and a task. Everything lies in ``home``; :meth:`stop` ends every process."""

    def __init__(self, home, programs, members, task):
        self.home, self.programs, self.members = home, programs, members
        self.root = pathlib.Path(__file__).resolve().parents[3]
        self.digits = self.root / "examples/digits/data"
        self.task = home / "task.yaml"
        # A step lies beside the example's task file, not beside ours.
        step = re.search(r"step:\s*\{blob:\s*([^}\s]+)", task)
        self.step = (members[0].example / step.group(1)).resolve() if step else None
        self.task.write_text(task.replace(step.group(1), str(self.step)) if step else task)
        self.model_type = re.search(r"^model:.*\btype:\s*([\w.-]+)", task, re.MULTILINE).group(1)
        self.trainers = re.findall(r"[\w.-]+", re.search(r"^trainer:(?:\s*\{any:)?(.*)$", task, re.MULTILINE).group(1))
        self.broker, self.data, self.ops, self.region_data, self.region_ops = free_ports(5)
        self.processes = []
        (home / "logs").mkdir()

    def device_data(self, index, part="train"):
        """The ``data`` of this device's agent: its share of the digits, and anything else that its trainer needs."""
        data = {
            "format": "idx",
            "images": str(self.digits / f"{part}-images-idx3-ubyte.gz"),
            "labels": str(self.digits / f"{part}-labels-idx1-ubyte.gz"),
            **self.members[index].data,
        }
        if part == "train":
            data["partition"] = {"iid": {"of": len(self.members), "index": index, "seed": 1}}
        return data

    def write(self):
        home = self.home
        template = (self.root / "broker/local.conf").read_text().splitlines()
        own = ("listener", "log_dest", "persistence_location", "user")
        lines = [f"listener {self.broker} 127.0.0.1", *(line for line in template if line.split(" ")[0] not in own), "log_dest stderr"]
        if os.geteuid() == 0:
            lines.append("user root")
        (home / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        (home / "test-data.json").write_text(json.dumps(self.device_data(0, "t10k")))
        # A built-in model is initialized and measured by muster-train, so that all are judged alike; another one by the example itself.
        central = Member(self.programs) if self.model_type in BUILT_IN else self.members[0]
        trainer = "built-in" if "built-in" in self.trainers else self.trainers[0]
        (home / "central.yaml").write_text(
            json.dumps(
                {
                    "state": str(home / "central"),
                    "broker": {"host": "127.0.0.1", "port": self.broker},
                    "data": {"host": "127.0.0.1", "port": self.data},
                    "ops": {"host": "127.0.0.1", "port": self.ops},
                    "regions": ["north"],
                    "trainers": [trainer],
                    "trainer": {trainer: {"command": central.program["command"], "resident": True}},
                    "testData": str(home / "test-data.json"),
                    "log": {"level": "info"},
                }
            )
        )
        (home / "north.yaml").write_text(
            json.dumps(
                {
                    "id": "north",
                    "state": str(home / "north"),
                    "broker": {"host": "127.0.0.1", "port": self.broker},
                    "data": {"host": "127.0.0.1", "port": self.region_data},
                    "ops": {"host": "127.0.0.1", "port": self.region_ops},
                    "log": {"level": "info"},
                }
            )
        )
        for index, member in enumerate(self.members):
            (home / f"pi-{index + 1}.json").write_text(
                json.dumps(
                    {
                        "id": f"pi-{index + 1}",
                        "region": "north",
                        "state": str(home / f"pi-{index + 1}"),
                        "broker": {"host": "127.0.0.1", "port": self.broker},
                        "trainers": {member.name if member.name in self.trainers else self.trainers[0]: member.program},
                        "data": self.device_data(index),
                        "policy": {},
                        "log": {"level": "info"},
                    }
                )
            )

    # Running it.

    def start(self, name, command):
        with open(self.home / "logs" / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.home, start_new_session=True
            )
        self.processes.append((name, process))

    def wait(self, what, condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            dead = [name for name, process in self.processes if process.poll() is not None]
            if dead:
                raise FleetError(f"{', '.join(dead)} ended while waiting for {what}")
            if time.monotonic() > end:
                raise FleetError(f"timed out after {seconds} s waiting for {what}")
            time.sleep(0.05)

    @staticmethod
    def listens(port):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ops}{path}", timeout=10) as answer:
            return json.load(answer)

    def run(self):
        """Starts everything, pushes the task, follows it to its end; returns what came of it."""
        mosquitto = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if mosquitto is None:
            raise FleetError("mosquitto is not installed; run apt-get install mosquitto")
        self.write()
        self.start("broker", [mosquitto, "-c", str(self.home / "mosquitto.conf")])
        self.wait("the broker", lambda: self.listens(self.broker), 10)
        for name, program in (("central", "muster-central"), ("north", "muster-region")):
            self.start(name, [str(self.programs / program), "--config", str(self.home / f"{name}.yaml")])
        self.wait("central", lambda: self.listens(self.ops) and self.listens(self.region_ops), 20)
        for name in [f"pi-{index + 1}" for index in range(len(self.members))]:
            self.start(name, [str(self.programs / "muster-agent"), "--config", str(self.home / f"{name}.json")])
        subprocess.run(
            [str(self.programs / "muster"), "task", "push", str(self.task), "--id", "digits", "--central", f"http://127.0.0.1:{self.ops}"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        found = {}

        def ended():
            try:
                found.update(self.get("/v1/tasks/digits"))
            except (OSError, ValueError):
                return False
            return found["summary"]["step"] in ("completed", "failed", "cancelled")

        self.wait("the task's end", ended, 600)
        if found["summary"]["step"] != "completed":
            raise FleetError(f"the task {found['summary']['step']}: {found['summary']['why']}")
        return self.result(found)

    @staticmethod
    def result(detail):
        rounds = detail["rounds"]
        last = rounds[-1]
        metrics = last.get("metrics") or {}
        if "loss" not in metrics:
            raise FleetError("central has no loss of the last model")
        seconds = sorted(entry["seconds"] for entry in rounds)
        return {
            "loss": metrics["loss"],
            "accuracy": metrics.get("accuracy"),
            "devicesLoss": (last.get("deviceMetrics") or {}).get("loss"),
            "round": seconds[len(seconds) // 2],
            "rounds": len(rounds),
            "wantedRounds": detail["specification"]["rounds"],
        }

    def show_logs(self):
        """The ends of all logs, to standard error."""
        for path in sorted((self.home / "logs").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-12:]
            print(f"-- {path.name}", *lines, sep="\n   ", file=sys.stderr)

    def stop(self):
        for signal_number, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
            for _, process in reversed(self.processes):
                if process.poll() is None:
                    process.send_signal(signal_number)
            end = time.monotonic() + seconds
            while any(process.poll() is None for _, process in self.processes) and time.monotonic() < end:
                time.sleep(0.02)
