"""A rented machine may write anything: a pipe gets it as it is, a terminal nothing that it would obey."""

import os
import pty
import subprocess
import sys

WRITTEN = "a\tb\r\n50%\r100%\n\x1b]0;owned\x07\x1b[2Jgone \u202etxt.exe\x9b2J é漢🙂\n"
SHOW = f"from holdfast.cli import console; console.output({WRITTEN!r})"


def test_a_pipe_gets_the_output_of_work_as_it_was_written() -> None:
    printed = subprocess.run([sys.executable, "-c", SHOW], stdout=subprocess.PIPE, check=True).stdout
    assert printed.decode() == WRITTEN


def test_a_terminal_obeys_nothing_that_work_wrote() -> None:
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", SHOW], stdout=theirs, check=True)
        shown = os.read(ours, 4096).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        os.close(theirs)
    assert shown == ("a\tb\n50%\n100%\n" r"\x1b]0;owned\x07\x1b[2Jgone \u202etxt.exe\x9b2J" " é漢🙂\n")
