"""scripts/skipped and scripts/setup: their messages and exit statuses."""

import os
import subprocess

import pytest
from conftest import ROOT

SWIFT = """\
✔ Test "a" passed after 0.001 seconds.
➜ Suite "Python's safetensors package" skipped: "MUSTER_PYTHON names no Python with numpy and safetensors"
➜ Test x() skipped.
◇ Test "what is skipped: nothing" started.
"""
PYTEST = "SKIPPED [1] tests/test_adapters.py:197: could not import 'onnxruntime': No module named 'onnxruntime'\n1 passed, 1 skipped\n"


def run(script, *arguments, **environment):
    return subprocess.run(
        [str(ROOT / "scripts" / script), *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("log, count", [(SWIFT, 2), (PYTEST, 1)])
def test_a_skipped_test_is_a_failure_in_ci_and_said_elsewhere(tmp_path, log, count, locale):
    (tmp_path / "log").write_text(log)
    for ci, status in (("true", 1), ("", 0)):
        result = run("skipped", tmp_path / "log", CI=ci, LC_ALL=locale)
        assert result.returncode == status
        assert len([line for line in result.stderr.splitlines() if line.startswith("  ")]) == count


def test_a_run_without_a_skipped_test_passes_in_ci(tmp_path):
    (tmp_path / "log").write_text('✔ Test "nothing is skipped here" passed after 0.001 seconds.\n2 passed\n')
    result = run("skipped", tmp_path / "log", CI="true")
    assert (result.returncode, result.stderr) == (0, "")


def test_setup_says_when_swift_does_not_run(tmp_path):
    swift = tmp_path / "swift"
    swift.write_text("#!/bin/sh\necho 'swift: error while loading shared libraries: libncurses.so.6' >&2\nexit 127\n")
    swift.chmod(0o755)
    result = run("setup", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert result.returncode == 1
    assert "libncurses.so.6" in result.stderr and 'but "swift --version" fails; install Swift 6.3' in result.stderr
