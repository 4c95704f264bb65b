"""GPU names of many spellings: what a name says, and whether two mean the same card."""

import re
from dataclasses import dataclass

_NOISE = frozenset(("NVIDIA", "GEFORCE", "TESLA", "AMD", "INSTINCT", "QUADRO", "HBM2", "HBM2E", "HBM3", "HBM3E", "GPU"))
_FORMS = {"SXM": "SXM", "SXM2": "SXM", "SXM4": "SXM", "SXM5": "SXM", "PCIE": "PCIE", "NVL": "NVL", "NVLINK": "SXM"}
_MEMORY = re.compile(r"(\d{2,3})GB?")
_GENERATION = frozenset(("ADA", "TI", "SUPER", "PRO", "SERVER", "WK", "MAXQ", "RTX", "GTX"))


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a name says of a GPU."""

    model: str  # "H100", "RTX 4090"
    form: str = ""  # SXM, PCIE, NVL; "": not said
    memory_gb: int | None = None  # None: not said


def card(name: str) -> Card:
    """Read a name: "NVIDIA H100 80GB HBM3", "h100-sxm", "A100_80GB_SXM4", "RTX 4090"."""
    form = ""
    memory: int | None = None
    model: list[str] = []
    for word in re.split(r"[\s_\-]+", name.strip().upper()):
        if word in _FORMS:
            form = _FORMS[word]
        elif found := _MEMORY.fullmatch(word):
            memory = int(found[1])
        elif word.isdigit() and model and model[0] not in _GENERATION and int(word) in _SIZES:
            memory = int(word)
        elif word and word not in _NOISE:
            model.append(word)
    return Card(model=" ".join(model), form=form, memory_gb=memory)


_SIZES = frozenset((16, 24, 32, 40, 48, 80, 94, 96, 141, 180, 192))


def same(one: str, other: str) -> bool:
    """Whether both may be the same card: the model is, and nothing that both say differs."""
    here, there = card(one), card(other)
    return (
        here.model == there.model
        and (not here.form or not there.form or here.form == there.form)
        and (here.memory_gb is None or there.memory_gb is None or here.memory_gb == there.memory_gb)
    )


def tidied(name: str) -> str:
    """A name from a file in the way that offers spell theirs: words apart by spaces, and none all small."""
    text = " ".join(re.split(r"[\s_\-]+", name.strip())).strip()
    return text.upper() if text == text.lower() else text
