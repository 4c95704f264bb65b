"""A tiny language model of characters, in plain Python, whose weights are drawn by a seed.

It has learned nothing, and what it says makes no sense; but it is a real network, its weights are a real file, and
the same weights with the same prompt and seed always say the same. So anybody can check what a server answered.

    python model.py --seed 7 --out weights.bin      # make the weights
    python model.py --weights weights.bin "Once upon a time"
"""

import argparse
import math
import operator
import random
from array import array
from collections.abc import Iterator
from pathlib import Path

LETTERS = "abcdefghijklmnopqrstuvwxyz .,'?!-"
CONTEXT = 8  # letters that the next one depends on
HIDDEN = 24
_LAYERS = ((HIDDEN, CONTEXT * len(LETTERS)), (len(LETTERS), HIDDEN))  # rows, columns


class Model:
    """Letters in, one hidden layer, the next letter out."""

    def __init__(self, weights: array) -> None:
        if len(weights) != sum(rows * columns for rows, columns in _LAYERS):
            raise ValueError(f"{len(weights)} weights are not this model's")
        self._layers = []
        for rows, columns in _LAYERS:
            self._layers.append([weights[row * columns : (row + 1) * columns] for row in range(rows)])
            weights = weights[rows * columns :]

    @classmethod
    def load(cls, path: Path) -> "Model":
        weights = array("d")
        weights.frombytes(path.read_bytes())
        return cls(weights)

    def letters(self, prompt: str, count: int, seed: int) -> Iterator[str]:
        """So many letters that follow a prompt, one by one; they are drawn by the seed."""
        draw = random.Random(seed)
        seen = [LETTERS.index(letter) for letter in prompt.lower() if letter in LETTERS]
        for _ in range(count):
            seen = ([LETTERS.index(" ")] * CONTEXT + seen)[-CONTEXT:]
            chosen = draw.choices(range(len(LETTERS)), self._odds(seen))[0]
            seen.append(chosen)
            yield LETTERS[chosen]

    def _odds(self, seen: list[int]) -> list[float]:
        hidden_layer, output_layer = self._layers
        lit = [place * len(LETTERS) + letter for place, letter in enumerate(seen)]
        hidden = [math.tanh(sum(row[each] for each in lit)) for row in hidden_layer]
        return [math.exp(sum(map(operator.mul, row, hidden))) for row in output_layer]


def draw_weights(seed: int) -> array:
    draw = random.Random(seed)
    return array("d", (draw.gauss(0, 0.6) for rows, columns in _LAYERS for _ in range(rows * columns)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", default="")
    parser.add_argument("--seed", type=int, default=7, help="of the weights, or of what is said")
    parser.add_argument("--out", type=Path, help="make weights, and write them here")
    parser.add_argument("--weights", type=Path, default=Path("weights.bin"))
    parser.add_argument("--count", type=int, default=64, help="letters to say")
    options = parser.parse_args()
    if options.out:
        options.out.write_bytes(draw_weights(options.seed).tobytes())
        return
    print("".join(Model.load(options.weights).letters(options.prompt, options.count, options.seed)))


if __name__ == "__main__":
    main()
