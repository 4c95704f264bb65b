"""Begins programs of the trainer's environment at once: python warm.py SOCKET. Runs beside torch, apart from Holdfast.

To import torch, transformers and peft takes eight seconds of a CPU, and half a minute on a busy computer. Here that is
done once; each program that is asked for begins as a fork: a process of its own, with its own session, that is killed
like any other. What only a fresh interpreter shows (the order of sets, an import) is shown by tests that start one.

A connection is a program: it sends a line of JSON with `words`, `cwd`, `env` and `out`, hears the process's id, and at
its end the exit code, negative where a signal ended it.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import peft  # noqa: F401 (so that it is there)
import torch  # noqa: F401 (as above)
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401 (as above)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever looked after a program needs no funeral
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{sys.argv[1]}.draft")
        door.listen()
        Path(f"{sys.argv[1]}.draft").rename(sys.argv[1])  # whoever sees it can come in
        while True:
            caller, _ = door.accept()
            with caller:
                if os.fork() == 0:
                    door.close()
                    look_after(caller)


def look_after(caller: socket.socket) -> None:
    """One program, until it has ended. Does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with caller.makefile("rw") as lines:
        wanted = json.loads(lines.readline())
        pid = os.fork()
        if pid == 0:
            caller.close()
            become(wanted)
        lines.write(f"{pid}\n")
        lines.flush()
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):
            lines.write(f"{os.waitstatus_to_exitcode(status)}\n")
            lines.flush()
    os._exit(0)


def become(wanted: dict[str, Any]) -> None:
    """Run it as `python WORDS…` would. Does not return."""
    os.setsid()
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    out = os.open(wanted["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(out, stream)
    code: Any = 0
    try:
        program, *words = wanted["words"]
        sys.argv = [program, *words]
        sys.path[0] = str(Path(program).parent)
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
