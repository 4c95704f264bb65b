"""The trainer's command line.

    python trainer.pyz train run.json        train to the end, from the saved state if there is one
    torchrun --nproc-per-node 4 trainer.pyz train run.json
    python trainer.pyz save-now run.json     ask the trainer that runs here to write its state, and wait until it has

Exit codes: 0 done, 65 the data set, 66 the base model, 69 the machine, 70 it diverged, 73 the saved state, 78 the
order; 143 told to end, and everything is saved.
"""

import os
import sys
from pathlib import Path

from . import files
from .asked import Asked, save_now
from .failures import ORDER_INVALID, TrainerFailure
from .journal import say
from .order import Order, read

_USAGE = "usage: train RUN.json | save-now RUN.json"


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if len(words) != 2 or words[0] not in ("train", "save-now"):
            raise TrainerFailure(ORDER_INVALID, _USAGE)
        order = read(words[1])
        return _train(order) if words[0] == "train" else _save_now(order)
    except TrainerFailure as why:
        say(f"trainer: {why}")
        return why.code


def _save_now(order: Order) -> int:
    folder = Path(order.state)
    if not save_now(folder, state=folder / files.STATE):
        say("no trainer runs here: what it wrote last is what there is")
    return 0


def _train(order: Order) -> int:
    if order.is_done:
        say("this training is done")
        files.drop_state(Path(order.state))
        return 0
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # all of it is in the workspace
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    asked = Asked().listen()

    from .loop import Training  # noqa: PLC0415 (what it imports reads the variables above)
    from .world import join, leave  # noqa: PLC0415 (as above)

    world = join(order.parameters.precision, order.parameters.threads)
    try:
        Training(order, world, asked).run()
    finally:
        leave(world)
    return 0
