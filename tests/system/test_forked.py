"""What tests run as a fork is as if Python had run it."""

import signal
import subprocess
import sys
from pathlib import Path

import forked
import launch
import pytest
from conftest import ends, needs_workflow

pytestmark = needs_workflow


@pytest.mark.parametrize(
    "code",
    [
        "import sys; print(sys.argv[1:], sys.path[0], __name__); print('x', file=sys.stderr)",
        "import os, sys; print(os.getcwd(), os.environ['OWN']); sys.exit(3)",
        "import sys; sys.exit('why it ends')",
        "import atexit; atexit.register(print, 'last'); raise ValueError('found')",
        "import threading; threading.Timer(0.2, print, ['late']).start()",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    ],
)
def test_a_fork_ends_and_prints_as_python_does(tmp_path, monkeypatch, code):
    monkeypatch.setenv("OWN", "é")
    script = tmp_path / "a script.py"
    script.write_text(code)
    words = [str(script), "two words", "ü"]
    theirs = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    ours = forked.run(*words, cwd=tmp_path)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    assert ours.stderr.splitlines()[-1:] == theirs.stderr.splitlines()[-1:]


def python_of(address):
    """The ``python`` that the jobs of a forked Snakemake find."""
    return Path(address).with_name("python")


def test_a_job_has_its_streams_and_ends_with_the_process_that_asked_for_it(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import os, sys, time\nprint(os.getpid(), 'torch' in sys.modules, flush=True)"
        "\nprint(sys.stdin.read()); time.sleep(60)"
    )
    pipe = subprocess.PIPE
    job = subprocess.Popen(
        [python_of(forked._server()), script], stdin=pipe, stdout=pipe, text=True
    )
    pid, imported = job.stdout.readline().split()
    assert imported == "True" and int(pid) != job.pid
    job.stdin.write("what it reads")
    job.stdin.close()
    assert job.stdout.readline() == "what it reads\n"
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert ends(int(pid))


@pytest.mark.parametrize("words", [["-c", "print(6 * 7)"], ["answer.py"]])
def test_what_is_no_file_or_finds_nobody_is_run_by_python_itself(tmp_path, words):
    (tmp_path / "answer.py").write_text("import sys; print(42, file=sys.stdout)")
    address = forked._server() if words[0] == "-c" else tmp_path / "nobody"
    command = [sys.executable, "-IS", launch.__file__, address, *words]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_several_at_once_have_an_end_each(tmp_path):
    (tmp_path / "n.py").write_text("import sys, time; time.sleep(0.5); sys.exit(int(sys.argv[1]))")
    python = python_of(forked._server())
    jobs = [subprocess.Popen([python, tmp_path / "n.py", str(n)]) for n in range(6)]
    assert [job.wait() for job in jobs] == list(range(6))
