"""The environment and the fleet for a page's commands."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ["muster", "muster-central", "muster-region", "muster-agent", "muster-train"]
# The secret of the worked example in http.md.
SECRET = b"muster-example-secret-32-bytes!!"


class Failed(Exception):
    """A failure of the checks. The message gives the reason."""


def programs():
    folders = [os.environ.get("MUSTER_BIN"), ROOT / ".build/debug", ROOT / ".build/release"]
    for folder in filter(None, folders):
        if all(os.access(f"{folder}/{program}", os.X_OK) for program in PROGRAMS):
            return pathlib.Path(folder).resolve()
    raise Failed(f"{', '.join(PROGRAMS)} are not built; run swift build, or set MUSTER_BIN")


def python():
    """The path of a Python with numpy and safetensors, such as the one that scripts/test makes."""
    for candidate in filter(None, [os.environ.get("MUSTER_PYTHON"), str(ROOT / ".build/python/bin/python3"), shutil.which("python3")]):
        if not os.access(candidate, os.X_OK):
            continue
        test = subprocess.run([candidate, "-c", "import numpy, safetensors"], capture_output=True)
        if test.returncode == 0:
            return candidate
    raise Failed("no Python with numpy and safetensors was found; run scripts/test, which makes one in .build/python, or set MUSTER_PYTHON")


def environment(folder):
    """A reader's environment: Muster's programs in PATH, and a Python that has Muster's package."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    interpreter = python()
    for name, arguments in (("python3", ""), ("muster-trainer", " -m muster")):
        (tools / name).write_text(
            f'#!/bin/sh\nPYTHONPATH="{ROOT}/python/src${{PYTHONPATH:+:$PYTHONPATH}}" exec {interpreter}{arguments} "$@"\n'
        )
        (tools / name).chmod(0o755)
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {
        "PATH": f"{tools}:{programs()}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
    }


def eventually(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    raise Failed(f"timed out after {seconds} s waiting for {what}")


def get(path, port=7401):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.load(answer)


def online(count):
    eventually(f"{count} devices online", lambda: sum(node["state"]["online"] for node in get("/v1/nodes")) >= count)


class Fleet:
    """Broker, central, north and south, and the eight devices of examples/digits, on the pages' addresses and ports."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []

    def start(self):
        home = self.folder / "fleet"
        home.mkdir()
        # The state folder that central's example configuration names.
        state = pathlib.Path("/var/lib/muster/central")
        state.mkdir(parents=True, mode=0o700)
        (state / "secret").write_bytes(SECRET)
        (state / "secret").chmod(0o600)
        examples = ROOT / "examples"
        self._run("broker", "mosquitto", "-c", ROOT / "broker/local.conf")
        self._run("central", "muster-central", "--config", examples / "configuration/central.yaml")
        for region, host in (("north", "10.0.1.1"), ("south", "10.0.2.1")):
            (home / f"{region}.yaml").write_text(
                f"{{id: {region}, state: {home}/{region}, data: {{host: {host}}}, ops: {{host: {host}}}}}\n"
            )
            self._run(region, "muster-region", "--config", home / f"{region}.yaml")
        for number in range(1, 9):
            self._run(
                f"pi-{number}", "muster-agent", "--config", examples / f"digits/agent-{number}.json", "--state", home / f"pi-{number}"
            )
        online(8)
        return self

    def _run(self, name, program, *arguments):
        path = os.environ["PATH"] + ":/usr/sbin"
        executable = str(programs() / program) if program in PROGRAMS else shutil.which(program, path=path)
        if executable is None:
            raise Failed(f"{program} is not installed; run scripts/setup")
        with open(self.folder / f"{name}.log", "wb") as log:
            self.processes.append(
                subprocess.Popen([executable, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            )

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        self.processes = []
