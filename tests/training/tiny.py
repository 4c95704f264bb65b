"""A language model and its tokenizer, made on the spot: real files of transformers, a few thousand parameters.

Runs beside torch, apart from Holdfast: python tiny.py FOLDER [--hidden N] [--layers N] [--heads N] [--no-template]
With --half its weights are bf16, as those of most models that one finds are; --on cuda makes a large one quickly.
"""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as Decoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
TEXT = [
    "how many machines are lost in a day of training and how many come back",
    "a checkpoint holds the weights, the optimizer, the random numbers and the place in the data",
    "what is two plus two? it is four. what is three plus three? it is six.",
]


def tokenizer(*, chat: bool) -> PreTrainedTokenizerFast:
    made = Tokenizer(BPE())
    made.pre_tokenizer = ByteLevel(add_prefix_space=False)
    made.decoder = Decoder()
    alphabet = ByteLevel.alphabet()
    made.train_from_iterator(
        TEXT, BpeTrainer(vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>", pad_token="<|end|>")
    fast.chat_template = CHAT if chat else None
    return fast


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--positions", type=int, default=512)
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--on", default="cpu")
    parser.add_argument("--no-template", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(1)
    words = tokenizer(chat=not options.no_template)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=options.hidden,
        intermediate_size=3 * options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.heads // 2,
        max_position_embeddings=options.positions,
        eos_token_id=words.eos_token_id,
        bos_token_id=None,
        pad_token_id=words.pad_token_id,
        tie_word_embeddings=False,
    )
    with torch.device(options.on):
        model = LlamaForCausalLM(config)
    model.lm_head.weight.data.mul_(20)  # as it begins, no adapter could make it sure of anything
    if options.half:
        model.to(torch.bfloat16)
    model.save_pretrained(options.folder)
    words.save_pretrained(options.folder)


if __name__ == "__main__":
    main()
