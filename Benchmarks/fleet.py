"""What the benchmarks share: the built programs, a whole system on loopback with free ports, and small tables."""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
DIGITS = CHECKOUT / "examples" / "digits" / "data"


def note(text):
    print(text, file=sys.stderr, flush=True)


def build(*programs):
    """The programs of this checkout, built by scripts/release when they are not up to date."""
    note(f"building {', '.join(programs)} (scripts/release)")
    subprocess.run(["scripts/release", *programs], cwd=CHECKOUT, stdout=sys.stderr, check=True)
    return CHECKOUT / ".build" / "programs"


def binaries(given, *products):
    """The folder of the programs: the one given, or a fresh build."""
    folder = pathlib.Path(given).resolve() if given else build(*products)
    for product in products:
        if not (folder / product).exists():
            sys.exit(f"{folder} does not contain {product}")
    return folder


def machine():
    """One line about where this runs."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {os.uname().release}, load {load:.1f} before"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def percentile(values, fraction):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def table(header, rows):
    """Prints a table that is also Markdown."""
    cells = [header] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print("\n".join(lines), flush=True)


def request(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    call = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    # Straight to loopback, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(call, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {url}: {error.code} {error.read().decode(errors='replace')}")


def wait(what, test, seconds=30.0, pause=0.02):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = test()
        if result:
            return result
        time.sleep(pause)
    raise TimeoutError(f"{what}: not after {seconds:.0f} s")


def _die_with_parent():
    # PR_SET_PDEATHSIG: nothing stays behind, however this script ends.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Fleet:
    """A system on loopback in a temporary folder. Use as a context: it stops what it started."""

    def __init__(self, folder_of_programs, regions=1, agents=10, level="notice", keep=False):
        self.programs = pathlib.Path(folder_of_programs)
        self.regions = ["north", "south", "east", "west"][:regions]
        self.agents = agents
        self.level = level
        self.keep = keep
        self.processes = []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-benchmark-"))

    def __enter__(self):
        try:
            self.start_broker()
            if self.regions:
                self.start_servers()
                self.start_agents()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, name, *command, **options):
        log = open(self.folder / f"{name}.log", "ab")
        # The person's own MUSTER_* settings would win over the files.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MUSTER_")}
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            start_new_session=True, preexec_fn=_die_with_parent, **options)
        log.close()
        process.name = name
        self.processes.append(process)
        return process

    def check(self):
        for process in self.processes:
            if process.poll() is not None:
                tail = (self.folder / f"{process.name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{process.name} ended with {process.returncode}:\n{tail}")

    def stop(self):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.keep:
            note(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, value):
        # JSON is YAML.
        path = self.folder / name
        path.write_text(json.dumps(value))
        return path

    def start_broker(self):
        ports = free_ports(3 + 2 * len(self.regions))
        self.broker, self.central_data, self.central_ops, *self.region_ports = ports
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not program:
            sys.exit("mosquitto is not installed; run scripts/setup")
        template = (CHECKOUT / "broker" / "local.conf").read_text().splitlines()
        lines = [f"listener {self.broker} 127.0.0.1"] + [line for line in template if not line.startswith("listener")]
        if os.geteuid() == 0:
            lines.append("user root")
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text("\n".join(lines) + "\n")
        self.start("broker", program, "-c", configuration)
        wait("the broker", lambda: self.check() or self._listens(self.broker))

    def _listens(self, port):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        return False

    def start_servers(self):
        trainer = {"command": [str(self.programs / "muster-train"), "--resident"], "resident": True}
        broker = {"host": "127.0.0.1", "port": self.broker}
        central = self.write("central.yaml", {
            "state": str(self.folder / "central"), "broker": broker,
            "data": {"host": "127.0.0.1", "port": self.central_data}, "ops": {"host": "127.0.0.1", "port": self.central_ops},
            "regions": self.regions, "trainers": ["built-in"], "trainer": {"built-in": trainer}, "log": {"level": self.level}})
        self.start("central", self.programs / "muster-central", "--config", central)
        for index, region in enumerate(self.regions):
            data, ops = self.region_ports[2 * index:2 * index + 2]
            file = self.write(f"{region}.yaml", {
                "id": region, "state": str(self.folder / region), "broker": broker, "centralBroker": broker,
                "data": {"host": "127.0.0.1", "port": data}, "ops": {"host": "127.0.0.1", "port": ops},
                "log": {"level": self.level}})
            self.start(region, self.programs / "muster-region", "--config", file)

    def agent_configuration(self, name, region, index, of):
        trainer = {"command": [str(self.programs / "muster-train"), "--resident"], "resident": True}
        return {
            "id": name, "region": region, "state": str(self.folder / f"{region}-{name}"),
            "broker": {"host": "127.0.0.1", "port": self.broker}, "trainers": {"built-in": trainer},
            "data": {
                "format": "idx", "images": str(DIGITS / "train-images-idx3-ubyte.gz"),
                "labels": str(DIGITS / "train-labels-idx1-ubyte.gz"),
                "partition": {"iid": {"of": max(1, of), "index": index, "seed": 1}}},
            # The machine is busy with the benchmark itself: that is no reason to decline.
            "policy": {"maxLoad": 1000}, "log": {"level": self.level}}

    def start_agents(self):
        for index in range(self.agents):
            region, name = self.regions[index % len(self.regions)], f"pi-{index + 1}"
            file = self.write(f"{region}-{name}.json", self.agent_configuration(name, region, index, self.agents))
            self.start(f"{region}-{name}", self.programs / "muster-agent", "--config", file)

    @property
    def central(self):
        return f"http://127.0.0.1:{self.central_ops}"

    def nodes(self):
        self.check()
        with contextlib.suppress(urllib.error.URLError, ConnectionError, OSError):
            return request("GET", f"{self.central}/v1/nodes")
        return []

    def ready(self):
        """Returns once every agent is online."""
        wait("all agents online", lambda: sum(node["state"]["online"] for node in self.nodes()) == self.agents, 60)

    def run(self, task, specification, seconds=600.0):
        """Pushes a task and follows it to its end; the detail of its rounds."""
        request("PUT", f"{self.central}/v1/tasks/{task}", specification)

        def ended():
            # The list of summaries: small, so that looking does not cost central what is being measured.
            self.check()
            summary = next(each for each in request("GET", f"{self.central}/v1/tasks") if each["task"] == task)
            return summary if summary["step"] in ("completed", "failed", "cancelled") else None

        summary = wait(f"task {task}", ended, seconds, pause=0.05)
        if summary["step"] != "completed":
            raise RuntimeError(f"task {task}: {summary['step']}: {summary['why']}")
        return request("GET", f"{self.central}/v1/tasks/{task}")
