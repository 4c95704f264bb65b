"""What the training tells: a line for each step, samples, and how far it is.

A machine that is lost may have written lines of steps that are trained again. So each start keeps the lines up to its
state, and no step is told twice.
"""

import json
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from .files import write

METRICS, EVALUATIONS, SAMPLES, STARTS = "metrics.jsonl", "held-out.jsonl", "samples.jsonl", "starts.jsonl"
_TAIL = 1000  # lines that go with the state: a checkpoint may hold an older file of lines beside a newer state


class Journal:
    """Files of lines in the workspace, each with its step."""

    def __init__(self, folder: Path, total: int) -> None:
        self._folder, self._total = folder, total
        self.tail: deque[str] = deque(maxlen=_TAIL)

    def begin(self, step: int, tail: list[str], place: dict[str, Any]) -> None:
        """Keep what was told up to this step, and tell that it begins there."""
        self.tail.extend(tail)
        for name in (METRICS, EVALUATIONS, SAMPLES):
            kept = _lines(self._folder / name, step)
            if name == METRICS:
                kept |= {_step(line): line for line in tail}
            write(self._folder / name, "".join(f"{kept[each]}\n" for each in sorted(kept)))
        self._tell_again(tail)
        write(self._folder / STARTS, "".join(f"{json.dumps(each)}\n" for each in self.starts()))
        self._add(STARTS, {"step": step, "at": round(time.time(), 3), **place})

    def starts(self) -> list[dict[str, Any]]:
        """Where the training began, each time."""
        try:
            lines = (self._folder / STARTS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if _step(line) >= 0]

    def held_out_loss(self) -> float | None:
        """The newest, if something is held out."""
        told = _lines(self._folder / EVALUATIONS, self._total)
        return float(json.loads(told[max(told)])["held_out_loss"]) if told else None

    def answers(self) -> list[dict[str, str]]:
        """What was said to each prompt before the first step and after the last."""
        told = _lines(self._folder / SAMPLES, self._total)
        if not told:
            return []
        first, last = (
            {each["prompt"]: each["answer"] for each in json.loads(told[step])["samples"]}
            for step in (min(told), max(told))
        )
        return [{"prompt": each, "base": first[each], "tuned": last[each]} for each in last if each in first]

    def step(self, told: dict[str, Any]) -> None:
        line = self._add(METRICS, told)
        self.tail.append(line)
        self._tell(f"{line}\n")
        loss = told["loss"]
        print(f"step {told['step']:6d}/{self._total}  loss {loss:.4f}  rate {told['lr']:.3g}", flush=True)
        self._report({"step": told["step"], "total": self._total, "loss": round(loss, 4)})

    def evaluated(self, step: int, loss: float) -> None:
        self._add(EVALUATIONS, {"step": step, "held_out_loss": loss})
        print(f"step {step:6d}/{self._total}  loss of what is held out {loss:.4f}", flush=True)

    def sample(self, step: int, texts: list[dict[str, str]]) -> None:
        self._add(SAMPLES, {"step": step, "samples": texts})

    def _tell_again(self, tail: list[str]) -> None:
        """The steps that led to this state, in case the machine before was lost between saving it and telling them."""
        self._tell("".join(f"{json.dumps({**json.loads(line), 'again': True})}\n" for line in tail))

    def _tell(self, lines: str) -> None:
        if lines and (path := os.environ.get("HOLDFAST_METRICS_FILE")):
            with Path(path).open("a", encoding="utf-8") as series:
                series.write(lines)

    def _add(self, name: str, told: dict[str, Any]) -> str:
        line = json.dumps(told)
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        return line

    def _report(self, progress: dict[str, Any]) -> None:
        """Tell Holdfast; outside of it there is nobody to tell."""
        if path := os.environ.get("HOLDFAST_PROGRESS_FILE"):
            draft = Path(f"{path}.draft")
            draft.write_text(json.dumps(progress))
            draft.replace(path)


def _lines(path: Path, last: int) -> dict[int, str]:
    """The whole lines of steps up to the last one. Half a line, at the end of a process that was killed, is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    return {step: line for line in lines if 0 <= (step := _step(line)) <= last}


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return -1


def say(text: str) -> None:
    """For whoever reads the log."""
    print(text, file=sys.stderr, flush=True)
