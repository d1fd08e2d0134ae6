"""Checks the configurations and task files of the pages with the programs that read them."""

import json
import re
import subprocess

from scenes import Failed, programs

# The fields that a fragment of a task file needs to be complete.
TASK = {
    "name": "name: check",
    "model": "model: {type: softmax, input: [1, 8, 8], classes: 10}",
    "regions": "regions: [north]",
    "rounds": "rounds: 1",
    "cohort": "cohort: {size: 9, minimum: 9}",
}


def check(block, kind, folder):
    """Describes the problem; None if there is none."""
    if kind in ("central", "region", "agent"):
        return program(f"muster-{kind}", block.text, folder)
    if kind == "task":
        return task(block.text, folder)
    if kind == "tasks":
        # The block shows several ways to write one field. Each is checked as a file of its own.
        first = re.match(r"\w+", block.text).group()
        parts = [part for part in re.split(rf"^(?={first}:)", block.text, flags=re.MULTILINE) if part.strip()]
        return next((wrong for part in parts if (wrong := task(part, folder))), None)
    raise Failed(f"{block.place}: there is no kind of configuration {kind}")


def program(name, text, folder):
    file = folder / ("checked.json" if name == "muster-agent" else "checked.yaml")
    if name == "muster-agent":
        # The block may be a part of the file, so the required keys are added.
        fields = json.loads(text if text.lstrip().startswith("{") else "{" + text + "}")
        text = json.dumps({"id": "pi-1", "region": "north", **fields})
    if name == "muster-central" and not re.search(r"^regions:", text, re.MULTILINE):
        text = f"regions: [north]\n{text}"
    if name == "muster-region" and not re.search(r"^id:", text, re.MULTILINE):
        text = f"id: north\n{text}"
    file.write_text(text)
    result = subprocess.run([programs() / name, "config", "print", "--config", file], capture_output=True, text=True)
    return None if result.returncode == 0 else f"{name} config print says: {(result.stderr or result.stdout).strip()}"


def task(text, folder):
    needed = [line for key, line in TASK.items() if not re.search(rf"^{key}:", text, re.MULTILINE)]
    file = folder / "checked-task.yaml"
    file.write_text("\n".join([*needed, text]) + "\n")
    # No server listens at this address, so a valid file fails at the connection (exit 4), and an invalid one earlier (exit 2).
    command = [programs() / "muster", "task", "push", file, "--id", "check", "--central", "http://127.0.0.1:1"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return None if result.returncode == 4 else f"muster task push says: {result.stderr.strip()}"
