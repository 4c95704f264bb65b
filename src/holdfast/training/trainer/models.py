"""The base model, and what of it is learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from .failures import BASE_UNUSABLE, MACHINE_UNFIT, TrainerFailure
from .order import Order
from .world import World

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Learner:
    """A model with parameters that are learned, by their names."""

    model: Any  # as the processes share it
    inner: Any  # the same, without what shares it
    learned: dict[str, torch.nn.Parameter]

    @property
    def count(self) -> int:
        return sum(each.numel() for each in self.learned.values())


def open_tokenizer(order: Order) -> Any:
    """The base model's tokenizer.

    Raises:
        TrainerFailure: it has none, or one that cannot tell where a token stands.
    """
    folder = _folder(order)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as err:
        raise TrainerFailure(BASE_UNUSABLE, f"the base model has no tokenizer: {err}") from None
    if tokenizer.eos_token_id is None:
        raise TrainerFailure(BASE_UNUSABLE, "the base model's tokenizer has no token that ends a text")
    if not tokenizer.is_fast:
        raise TrainerFailure(BASE_UNUSABLE, "the base model has no tokenizer.json, which the trainer needs")
    return tokenizer


def open_learner(order: Order, world: World) -> Learner:
    """The base model, made to learn by the order's method.

    Raises:
        TrainerFailure: it is no causal language model, or the machine lacks what the method needs.
    """
    parameters = order.parameters
    base = _opened(order, world)
    checkpointing = parameters.gradient_checkpointing
    if parameters.method == "qlora":
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
    if checkpointing:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        base.enable_input_require_grads()
    if parameters.method != "full":
        base = _with_adapter(base, order)
    base.to(world.device)
    base.train()
    learned = {name: each for name, each in base.named_parameters() if each.requires_grad}
    shared: Any = base
    if world.many:
        shared = DistributedDataParallel(
            base, device_ids=[world.device.index] if world.device.index is not None else None
        )
    return Learner(shared, base, learned)


def _opened(order: Order, world: World) -> Any:
    options: dict[str, Any] = {}
    if order.parameters.method == "qlora":
        if world.device.type != "cuda":
            raise TrainerFailure(MACHINE_UNFIT, "qlora needs an NVIDIA GPU; the method lora does not")
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=_DTYPES[order.parameters.precision],
        )
        options["device_map"] = {"": world.device.index}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            _folder(order), dtype=_dtype(order), local_files_only=True, **options
        )
    except (OSError, ValueError) as err:
        raise TrainerFailure(BASE_UNUSABLE, f"the base model cannot be opened: {err}") from None
    model.config.use_cache = False
    return model


def _dtype(order: Order) -> torch.dtype:
    """In which the base is held. What is learned itself is held in 32 bits: a small step would vanish in 16."""
    return torch.float32 if order.parameters.method == "full" else _DTYPES[order.parameters.precision]


def _with_adapter(base: Any, order: Order) -> Any:
    shape = order.parameters.lora
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        lora_dropout=shape.dropout,
        target_modules=shape.targets or "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        model = get_peft_model(base, config)
    except ValueError as err:  # no layer has such a name
        raise TrainerFailure(BASE_UNUSABLE, str(err)) from None
    model.peft_config["default"].base_model_name_or_path = order.base_name
    return model


def merged(order: Order, adapter: Path) -> Any:
    """The base model with the adapter in its weights, in the type that it was trained in; on the CPU."""
    base = AutoModelForCausalLM.from_pretrained(
        _folder(order), dtype=_DTYPES[order.parameters.precision], local_files_only=True
    )
    return PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()


def _folder(order: Order) -> str:
    if not (Path(order.base) / "config.json").is_file():
        raise TrainerFailure(BASE_UNUSABLE, f"there is no model in {order.base}: it has no config.json")
    return order.base
