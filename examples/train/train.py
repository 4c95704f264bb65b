"""Train a small neural network on hand-written digits, so that a killed run and an undisturbed one end equal.

Everything that the next step depends on is in one state file: weights, momentum, the random generator, the step
counter and the loss history. It is replaced atomically, so whatever happens there is a whole one. Started again in a
folder with a state file, the script goes on from there; the same seed always ends with the same bits.

    python train.py --steps 400 --out weights.npz
"""

import argparse
import gzip
import hashlib
import json
import os
import time
from itertools import pairwise
from pathlib import Path

# One thread: with several, sums may be added in another order, and the last bit would depend on the machine.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402 (the thread limit must be set first)

HERE = Path(__file__).resolve().parent
LAYERS = (64, 96, 10)


def main() -> None:
    options = parse_options()
    images, digits = read_digits(HERE / "digits.csv.gz")
    train, test = slice(0, 1500), slice(1500, None)
    state = load_state(options.state) or fresh_state(options.seed)
    print(f"starting at step {state['step']} of {options.steps}", flush=True)
    while state["step"] < options.steps:
        began = time.monotonic()
        loss = one_step(state, images[train], digits[train], options.batch, options.rate)
        if state["step"] % options.save_every == 0 or state["step"] == options.steps:
            save_state(state, options.state)
            report_progress(state["step"], options.steps, loss)
            print(f"step {state['step']:5d}  loss {loss:.4f}", flush=True)
        time.sleep(max(options.pace - (time.monotonic() - began), 0))
    accuracy = float((forward(state, images[test])[1].argmax(axis=1) == digits[test]).mean())
    save_weights(state, options.out)
    print(f"done: test accuracy {accuracy:.3f}, weights sha256 {digest(options.out)}", flush=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--save-every", type=int, default=10, help="steps between two state files")
    parser.add_argument("--pace", type=float, default=0.0, help="least seconds per step, to watch it go")
    parser.add_argument("--state", type=Path, default=Path("state.npz"))
    parser.add_argument("--out", type=Path, default=Path("weights.npz"))
    return parser.parse_args()


def read_digits(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(path, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",")
    return table[:, :64] / 16.0, table[:, 64].astype(int)


def fresh_state(seed: int) -> dict:
    random = np.random.default_rng(seed)
    pairs = list(pairwise(LAYERS))
    weights = [random.normal(0, (2 / fan_in) ** 0.5, (fan_in, fan_out)) for fan_in, fan_out in pairs]
    biases = [np.zeros(fan_out) for _, fan_out in pairs]
    parameters = [*weights, *biases]
    return {"step": 0, "random": random, "parameters": parameters, "momentum": [np.zeros_like(p) for p in parameters]}


def forward(state: dict, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second, bias_first, bias_second = state["parameters"]
    hidden = np.maximum(images @ first + bias_first, 0)
    return hidden, hidden @ second + bias_second


def one_step(state: dict, images: np.ndarray, digits: np.ndarray, batch: int, rate: float) -> float:
    """Stochastic gradient descent with momentum on the cross-entropy of one random batch."""
    chosen = state["random"].choice(len(images), batch, replace=False)
    inputs, wanted = images[chosen], digits[chosen]
    hidden, scores = forward(state, inputs)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    likely = scores / scores.sum(axis=1, keepdims=True)
    loss = -np.log(likely[np.arange(batch), wanted] + 1e-12).mean()
    likely[np.arange(batch), wanted] -= 1
    likely /= batch
    back = (likely @ state["parameters"][1].T) * (hidden > 0)
    gradients = [inputs.T @ back, hidden.T @ likely, back.sum(axis=0), likely.sum(axis=0)]
    for parameter, momentum, gradient in zip(state["parameters"], state["momentum"], gradients, strict=True):
        momentum[...] = 0.9 * momentum - rate * gradient
        parameter[...] += momentum
    state["step"] += 1
    return float(loss)


def save_state(state: dict, path: Path) -> None:
    arrays = {f"p{i}": p for i, p in enumerate(state["parameters"])}
    arrays |= {f"m{i}": m for i, m in enumerate(state["momentum"])}
    about = {"step": state["step"], "random": state["random"].bit_generator.state}
    write_atomically(path, lambda file: np.savez(file, about=np.array(json.dumps(about)), **arrays))


def load_state(path: Path) -> dict | None:
    if not path.exists():
        return None
    with np.load(path) as arrays:
        about = json.loads(str(arrays["about"]))
        parameters = [arrays[f"p{i}"] for i in range(4)]
        momentum = [arrays[f"m{i}"] for i in range(4)]
    random = np.random.default_rng()
    random.bit_generator.state = about["random"]
    return {"step": about["step"], "random": random, "parameters": parameters, "momentum": momentum}


def save_weights(state: dict, path: Path) -> None:
    write_atomically(path, lambda file: np.savez(file, *state["parameters"]))


def write_atomically(path: Path, write) -> None:
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def report_progress(step: int, total: int, loss: float) -> None:
    """Tell Holdfast how far we are, and the loss for its plots; outside Holdfast there is nobody to tell."""
    if series := os.environ.get("HOLDFAST_METRICS_FILE"):
        with Path(series).open("a") as file:
            file.write(json.dumps({"step": step, "loss": round(loss, 4), "time": time.time()}) + "\n")
    if path := os.environ.get("HOLDFAST_PROGRESS_FILE"):
        draft = Path(path + ".draft")
        draft.write_text(json.dumps({"step": step, "total": total, "loss": round(loss, 4)}))
        draft.replace(path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
