"""What a training leaves behind: the adapter or the model, and a page of facts beside it.

output/
  adapter/        peft's files: adapter_model.safetensors, adapter_config.json
  model/          a whole model with its tokenizer: what `full` makes, or base and adapter where that is ordered
  training.json   how it was made, and the SHA-256 of every file
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from . import files
from .models import Learner, merged
from .order import Order, Samples
from .world import World


def write(order: Order, learner: Learner, tokenizer: Any, facts: dict[str, Any]) -> None:
    """Write the result. Its folder is not there before it is whole."""
    output = Path(order.output)
    draft = output.with_name(f"{output.name}.draft")
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(parents=True)
    if order.parameters.method == "full":
        _write_full(order, learner, tokenizer, draft / "model")
    else:
        _write_adapter(learner, draft / "adapter")
        if order.parameters.merge:
            whole = merged(order, draft / "adapter")
            whole.save_pretrained(str(draft / "model"))
            tokenizer.save_pretrained(str(draft / "model"))
    made = sorted(each for each in draft.rglob("*") if each.is_file())
    digests = {each.relative_to(draft).as_posix(): files.digest(each) for each in made}
    told = {"order": asdict(order), **facts, "files": digests}
    (draft / files.FACTS).write_text(json.dumps(told, indent=1, sort_keys=True), encoding="utf-8")
    for each in (*draft.rglob("*"), draft):
        files.settle(each)
    draft.rename(output)
    files.settle(output.parent)


def answers(model: Any, tokenizer: Any, samples: Samples, world: World) -> list[dict[str, str]]:
    """What the model says to each prompt: always the likeliest word, so that no chance is spent."""
    was_training = model.training
    model.eval()
    told = []
    for prompt in samples.prompts:
        asked = tokenizer(_as_known(prompt, tokenizer), add_special_tokens=False, return_tensors="pt").to(world.device)
        with torch.no_grad():
            made = model.generate(
                input_ids=asked["input_ids"],
                attention_mask=asked["attention_mask"],
                max_new_tokens=samples.tokens,
                do_sample=False,
                use_cache=True,
                pad_token_id=tokenizer.eos_token_id,
            )
        text = tokenizer.decode(made[0][asked["input_ids"].shape[1] :], skip_special_tokens=True)
        told.append({"prompt": prompt, "answer": text})
    model.train(was_training)
    return told


def _as_known(prompt: str, tokenizer: Any) -> str:
    """A prompt as the model knows them: a turn of a conversation where it has a template for that."""
    if not tokenizer.chat_template:
        return prompt
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    return text


def _write_adapter(learner: Learner, folder: Path) -> None:
    learner.inner.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)  # a form to be filled in by hand
    config = folder / "adapter_config.json"
    told = json.loads(config.read_text(encoding="utf-8"))
    if isinstance(told.get("target_modules"), list):
        told["target_modules"].sort()  # a set: its order changes from process to process
    config.write_text(json.dumps(told, indent=2, sort_keys=True), encoding="utf-8")


def _write_full(order: Order, learner: Learner, tokenizer: Any, folder: Path) -> None:
    model = learner.inner
    if order.parameters.precision == "bf16":
        model = model.to(torch.bfloat16)
    model.config.use_cache = True
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
