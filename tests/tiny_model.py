"""A language model of a few hundred parameters, as a hub would hold it: real shapes, real safetensors."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 32,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
_LAYER = {
    "self_attn.q_proj": (8, 8),
    "self_attn.k_proj": (4, 8),
    "self_attn.v_proj": (4, 8),
    "self_attn.o_proj": (8, 8),
    "mlp.gate_proj": (16, 8),
    "mlp.up_proj": (16, 8),
    "mlp.down_proj": (8, 16),
    "input_layernorm": (8,),
    "post_attention_layernorm": (8,),
}
SHAPES = {"model.embed_tokens": (32, 8), "model.norm": (8,), "lm_head": (32, 8)} | {
    f"model.layers.{layer}.{name}": shape for layer in range(2) for name, shape in _LAYER.items()
}
PARAMETERS = 1_704  # of the shapes above
README = b"---\nlicense: apache-2.0\n---\n# Tiny\n"


def safetensors(shapes: Mapping[str, tuple[int, ...]], *, dtype: str = "BF16", width: int = 2, salt: int = 0) -> bytes:
    """A file with such tensors; `salt` makes another one of the same size."""
    head, offset = {}, 0
    for name, shape in shapes.items():
        size = width
        for side in shape:
            size *= side
        head[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    written = json.dumps(head).encode()
    return struct.pack("<Q", len(written)) + written + bytes((each + salt) % 251 for each in range(offset))


def files(*, salt: int = 0) -> dict[str, bytes]:
    """The model's files, and what a hub keeps beside them."""
    return {
        ".gitattributes": b"*.safetensors filter=lfs\n",
        "README.md": README,
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": safetensors(SHAPES, salt=salt),
        "pytorch_model.bin": b"the same weights, pickled",
        "onnx/model.onnx": b"the same weights once more",
        "tokenizer/vocab.txt": b"a\nb\n",
    }


KEPT = ("README.md", "config.json", "model.safetensors", "tokenizer/vocab.txt")
"""Of these what makes the model."""


def written(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """The files in a folder."""
    for path, data in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder
