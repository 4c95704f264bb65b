"""What is made small: surprise at what should be said, or preferring the wrong answer."""

from collections.abc import Sequence as Many
from typing import Any

import torch
from torch.nn import functional

from .models import Learner
from .order import Order
from .tokens import IGNORED, Example, Sequence
from .world import World

_MULTIPLE = 8  # sequences are filled up to a multiple of it: what the hardware likes


class Losses:
    """The loss of a batch, as its share of a whole step's."""

    def __init__(self, order: Order, learner: Learner, world: World, filler: int) -> None:
        self._order, self._learner, self._world, self._filler = order, learner, world, filler

    def weight(self, examples: Many[Example]) -> int:
        """What a step's loss is divided by: tokens that are learned, or pairs."""
        if self._order.parameters.method == "dpo":
            return len(examples)
        return sum(each.sequences[0].learned for each in examples)

    def of(self, batch: Many[Example], weight: int) -> torch.Tensor:
        """The loss of some examples, a part of a step with this weight in all."""
        with self._world.autocast(self._order.parameters.precision):
            if self._order.parameters.method == "dpo":
                return self._preference(batch) / weight
            logits, labels = self._asked(self._learner.model, [each.sequences[0] for each in batch])
            return functional.cross_entropy(logits.float(), labels, reduction="sum") / weight

    def _preference(self, batch: Many[Example]) -> torch.Tensor:
        """Direct preference optimisation (Rafailov et al. 2023, equation 7); the reference is the base itself."""
        sequences = [each.sequences[side] for side in (0, 1) for each in batch]
        now = self._likelihoods(self._learner.model, sequences)
        was_training = self._learner.inner.training
        with torch.no_grad(), self._learner.inner.disable_adapter():
            self._learner.inner.eval()
            before = self._likelihoods(self._learner.inner, sequences)
        self._learner.inner.train(was_training)
        gained = now - before
        margin = gained[: len(batch)] - gained[len(batch) :]
        return -functional.logsigmoid(self._order.parameters.beta * margin).sum()

    def _likelihoods(self, model: Any, sequences: list[Sequence]) -> torch.Tensor:
        """How likely each sequence's learned tokens are together, as a logarithm."""
        logits, labels = self._asked(model, sequences)
        each = -functional.cross_entropy(logits.float(), labels, reduction="none")
        return torch.stack([part.sum() for part in each.split([sequence.learned for sequence in sequences])])

    def _asked(self, model: Any, sequences: list[Sequence]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits where something is learned, and what that is."""
        longest = max(len(each.ids) for each in sequences)
        width = -(-longest // _MULTIPLE) * _MULTIPLE
        ids, labels, seen = (
            torch.tensor([values + [fill] * (width - len(values)) for values in rows], device=self._world.device)
            for rows, fill in (
                ([each.ids for each in sequences], self._filler),
                ([each.labels for each in sequences], IGNORED),
                ([[1] * len(each.ids) for each in sequences], 0),
            )
        )
        logits = model(input_ids=ids, attention_mask=seen).logits[:, :-1]
        wanted = labels[:, 1:]
        counts = wanted != IGNORED
        return logits[counts], wanted[counts]
