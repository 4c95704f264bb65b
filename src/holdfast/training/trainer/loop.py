"""The training: step after step, told, saved, and the same whatever interrupts it.

1. Open the base model and the data set; take up the saved state, if there is one.
2. At each step learn from the examples that are its own, and tell how it went.
3. Between two steps save: when it is time, when somebody asks, and before ending because somebody asks.
4. Write the result into a folder that appears whole, and drop the state.

Holds throughout: what a step does depends on the order, the step's number and the state before it, and on nothing else.
"""

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from . import files, result, rounds, state, tokens
from . import world as worlds
from .asked import Asked, write_pid
from .failures import DIVERGED, STATE_UNUSABLE, STOPPED, TrainerFailure
from .journal import Journal, say
from .losses import Losses
from .models import Learner, open_learner, open_tokenizer
from .order import Order
from .world import World


class Training:
    """One training, from its state to its result."""

    def __init__(self, order: Order, world: World, asked: Asked) -> None:
        self._order, self._world, self._asked = order, world, asked
        self._parameters = order.parameters
        self._folder = Path(order.state)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._tokenizer = open_tokenizer(order)
        self._prepared = tokens.prepare(order, self._tokenizer)
        learned, asked_only = rounds.held_out(len(self._prepared.examples), self._parameters)
        self._examples = [self._prepared.examples[each] for each in learned]
        self._held_out = [self._prepared.examples[each] for each in asked_only]
        self._rounds = rounds.Rounds(len(self._examples), self._parameters, world.size)
        worlds.begin_chance(self._parameters.seed)
        self._learner: Learner = open_learner(order, world)
        self._optimizer = _optimizer(self._learner, self._parameters.weight_decay)
        filler = self._tokenizer.pad_token_id
        self._losses = Losses(order, self._learner, world, self._tokenizer.eos_token_id if filler is None else filler)
        self._journal = Journal(Path(), self._rounds.steps)
        self._step = 0
        self._tokens = 0
        self._differs: list[str] = []
        self._saved_at = time.monotonic()
        self._save_took = 0.0

    def run(self) -> None:
        """Train to the end.

        Raises:
            TrainerFailure: it cannot go on, or was asked to end; then everything is saved.
        """
        self._take_up()
        if self._step == 0:
            self._show_samples()
        while self._step < self._rounds.steps:
            told = self._one_step()
            if self._world.leads:
                self._journal.step(told)
            self._look_around()
            self._save_if_due()
        if self._world.leads:
            result.write(self._order, self._learner, self._tokenizer, self._facts())
            files.drop_state(self._folder)
        self._world.wait()

    def _take_up(self) -> None:
        """Go on from the saved state, or begin."""
        found = state.load(self._folder, order=self._order.mark)
        tail: list[str] = []
        place = worlds.place(self._world)
        if found is not None:
            self._require_as_many(found)
            with torch.no_grad():
                for name, parameter in self._learner.learned.items():
                    parameter.copy_(found["learned"][name])
            self._optimizer.load_state_dict(found["optimizer"])
            self._step, self._tokens, tail = found["step"], found["tokens"], found["tail"]
            self._differs = [*found["differs"], *_differences(found["place"], place, self._step)]
            worlds.set_chance(self._world, found["chance"][self._world.rank])
        else:
            # From here on each process draws its own numbers: what they drop out is not the same.
            worlds.begin_chance(self._parameters.seed + 1 + self._world.rank)
        self._place = place
        if self._world.leads:
            write_pid(self._folder)
            self._journal.begin(self._step, tail, place)
            self._say_begin()

    def _say_begin(self) -> None:
        parts = [f"starting at step {self._step} of {self._rounds.steps}", f"{len(self._examples)} examples"]
        parts.append(
            f"{self._learner.count} parameters learned by {self._parameters.method} on {self._place['device']}"
        )
        for lines, word in ((self._prepared.skipped, "left out"), (self._prepared.cut, "cut")):
            if lines:
                parts.append(f"{len(lines)} too long and {word}, as ordered")
        say("; ".join(parts))
        for each in self._differs:
            say(f"not the same any more: {each}")

    def _one_step(self) -> dict[str, Any]:
        began = time.monotonic()
        rate = rounds.rate(self._step, self._rounds.steps, self._parameters)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        chosen = [self._examples[each] for each in self._rounds.of_step(self._step)]
        weight = self._losses.weight(chosen)
        loss = self._learn(weight)
        norm = float(torch.nn.utils.clip_grad_norm_(list(self._learner.learned.values()), self._parameters.clip))
        if not torch.isfinite(torch.tensor([loss, norm])).all():
            raise TrainerFailure(
                DIVERGED, f"loss {loss} and gradient {norm} at step {self._step + 1}: lower the rate, or clip lower"
            )
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._step += 1
        read = sum(len(sequence.ids) for example in chosen for sequence in example.sequences)
        self._tokens += read
        took = time.monotonic() - began
        return {
            "step": self._step,
            "loss": loss,
            "lr": rate,
            "grad_norm": norm,
            "round": round(self._rounds.round(self._step), 4),
            "tokens": self._tokens,
            "tokens_per_second": round(read / took, 1),
        }

    def _learn(self, weight: int) -> float:
        """The gradients of one step, and its loss."""
        loss = torch.zeros((), device=self._world.device)
        batches = self._rounds.of_process(self._step, self._world.rank)
        for number, places in enumerate(batches, start=1):
            alone = self._world.many and number < len(batches)  # gradients are added up at the last batch
            with self._learner.model.no_sync() if alone else nullcontext():
                part = self._losses.of([self._examples[each] for each in places], weight)
                (part * self._world.size).backward()  # the processes' gradients are averaged, and must be added
            loss += part.detach()
        return self._world.total([float(loss)])[0]

    def _look_around(self) -> None:
        """Samples and the loss of what is held out, where it is time for them."""
        last = self._step == self._rounds.steps
        if last or _due(self._step, self._parameters.samples.every):
            self._show_samples()
        if self._held_out and (last or _due(self._step, self._parameters.evaluate_every)):
            loss = self._held_out_loss()
            if self._world.leads:
                self._journal.evaluated(self._step, loss)

    def _held_out_loss(self) -> float:
        self._learner.model.eval()
        weight, loss = self._losses.weight(self._held_out), 0.0
        with torch.no_grad():
            for example in self._held_out[self._world.rank :: self._world.size]:
                loss += float(self._losses.of([example], weight))
        self._learner.model.train()
        return self._world.total([loss])[0]

    def _show_samples(self) -> None:
        if self._world.leads and self._parameters.samples.prompts:
            texts = result.answers(self._learner.inner, self._tokenizer, self._parameters.samples, self._world)
            self._journal.sample(self._step, texts)

    def _save_if_due(self) -> None:
        """Between two steps: all processes agree, so that all save the same step."""
        waited = time.monotonic() - self._saved_at
        due = waited >= max(self._parameters.save_every, self._save_took / self._parameters.save_share)
        wishes = self._world.total([due and self._world.leads, self._asked.to_save, self._asked.to_stop])
        to_save, to_stop = bool(wishes[0] or wishes[1]), bool(wishes[2])
        if to_save or to_stop:
            self._asked.to_save = False
            self._save()
        if to_stop:
            raise TrainerFailure(STOPPED, f"told to end: everything up to step {self._step} is saved")

    def _save(self) -> None:
        began = time.monotonic()
        chance = self._world.from_all(worlds.chance_of(self._world))
        if self._world.leads:
            document = {
                "order": self._order.mark,
                "place": self._place,
                "step": self._step,
                "tokens": self._tokens,
                "learned": {name: each.detach() for name, each in self._learner.learned.items()},
                "optimizer": self._optimizer.state_dict(),
                "chance": chance,
                "tail": list(self._journal.tail),
                "differs": self._differs,
            }
            state.save(self._folder, document)
        self._saved_at = time.monotonic()
        self._save_took = self._saved_at - began

    def _require_as_many(self, found: dict[str, Any]) -> None:
        if len(found["chance"]) != self._world.size:
            raise TrainerFailure(
                STATE_UNUSABLE,
                f"the state is that of {len(found['chance'])} processes and here are {self._world.size}: ask for a "
                "machine with as many GPUs",
            )

    def _facts(self) -> dict[str, Any]:
        return {
            "steps": self._step,
            "tokens": self._tokens,
            "examples": len(self._examples),
            "held_out": len(self._held_out),
            "skipped": len(self._prepared.skipped),
            "cut": len(self._prepared.cut),
            "learned": self._learner.count,
            "last": json.loads(self._journal.tail[-1]),
            "place": self._place,
            "differs": self._differs,
            "held_out_loss": self._journal.held_out_loss(),
            "answers": self._journal.answers(),
            "starts": len(self._journal.starts()),
        }


def _optimizer(learner: Learner, decay: float) -> torch.optim.Optimizer:
    """AdamW; norms and biases do not decay, as is the custom."""
    groups = [
        {"params": [each for each in learner.learned.values() if each.ndim >= 2], "weight_decay": decay},
        {"params": [each for each in learner.learned.values() if each.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)


def _due(step: int, every: int) -> bool:
    return bool(every) and step % every == 0


def _differences(before: dict[str, Any], now: dict[str, Any], step: int) -> list[str]:
    """Where the training goes on with other software or hardware, and so perhaps with other last bits."""
    return [
        f"{name} {before.get(name)} before step {step + 1}, {now[name]} from there on"
        for name in now
        if before.get(name) != now[name]
    ]
