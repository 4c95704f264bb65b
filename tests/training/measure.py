"""What a step really holds, for each method with and without checkpointing: python measure.py BASE LENGTH.

Printed as JSON. Runs beside torch.
"""

import json
import sys
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import AutoModelForCausalLM


def size_of(tensors: Any) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)


def main() -> None:
    folder, length = sys.argv[1], int(sys.argv[2])
    told = {
        f"{method} {checkpointing}": measured(folder, method, length, checkpointing=checkpointing)
        for method in ("lora", "full")
        for checkpointing in (True, False)
    }
    print(json.dumps(told))


def measured(folder: str, method: str, length: int, *, checkpointing: bool) -> dict[str, int]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    parameters = sum(each.numel() for each in model.parameters())
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    if method == "lora":
        model = get_peft_model(model, LoraConfig(r=8, lora_dropout=0.05, target_modules="all-linear"))
    model.train()
    learned = [each for each in model.parameters() if each.requires_grad]
    frozen = [each for each in model.parameters() if not each.requires_grad]
    optimizer = torch.optim.AdamW(learned)
    ids = torch.randint(0, model.config.vocab_size, (2, length))
    own = {each.untyped_storage().data_ptr() for each in model.parameters()}
    held: dict[int, int] = {}
    most = 0

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    # Storages are alive while autograd refers to them, so none of them gives its address to another one.
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(input_ids=ids).logits
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())
    most = sum(held.values())
    loss.backward()
    gradients = [each.grad for each in learned if each.grad is not None]
    optimizer.step()
    state = [each for values in optimizer.state.values() for each in values.values() if torch.is_tensor(each)]
    return {
        "parameters": parameters,
        "learned": sum(each.numel() for each in learned),
        "learned_bytes": size_of(learned),
        "frozen_bytes": size_of(frozen),
        "gradient_bytes": size_of(gradients),
        "optimizer_bytes": size_of(state),
        "kept_bytes": most,
    }


if __name__ == "__main__":
    main()
