"""A reader's terminal: one bash for each page, which keeps its variables and its folder from command to command."""

import os
import queue
import subprocess
import threading
import time

END = "__the_end_of_this_command__"


class Shell:
    def __init__(self, folder, environment):
        self.folder = folder
        self.process = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def run(self, text, seconds=60):
        """Runs a command. Returns the lines of both streams, and the exit status, which is None if it did not end in time."""
        said = []
        delimiter = "__the_command__"
        self.process.stdin.write(f"eval \"$(cat <<'{delimiter}'\n{text}\n{delimiter}\n)\" </dev/null\nprintf '\\n%s %s\\n' {END} $?\n")
        self.process.stdin.flush()
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                return said, None
            if line is None:
                return said, 255
            if line.startswith(END):
                # Remove the line break that is printed before the mark.
                if said and not said[-1]:
                    said.pop()
                return said, int(line.split()[1])
            said.append(line)

    def close(self):
        """Ends the shell and every process that it started."""
        self.process.stdin.close()
        try:
            os.killpg(self.process.pid, 15)
            self.process.wait(10)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
