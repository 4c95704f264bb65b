"""GPU names: from TensorDock's, such as `geforcertx4090-pcie-24gb`, to the provider-neutral "RTX 4090"."""

import re

_NAME = re.compile(r"(?:geforce|quadro|nvidia|tesla)*-?(?P<series>rtx|gtx)?-?(?P<model>[a-z]*\d+[a-z0-9]*)(?P<more>.*)")
_MEMORY = re.compile(r"(\d+)\s*gb?\b")
_BUS = re.compile(r"\b(sxm\d?|pcie|nvl)\b")
# Cards that are sold with more than one connector are told apart by it.
_BY_BUS = ("A100", "H100")
_BUSES = {"sxm4": "SXM4", "sxm5": "SXM", "sxm": "SXM", "pcie": "PCIE", "nvl": "NVL"}
_SUFFIXES = (("PRO", "PRO "), ("SUPER", " SUPER"), ("ADA", "Ada"))
_TI = re.compile(r"(?<=\d)TI(?=$| )")


def neutral_name(v0_name: str) -> str:
    """The name that workloads use. One that nobody has heard of comes back in capitals, without its memory."""
    text = v0_name.strip().lower()
    found = _NAME.match(text)
    if found is None:
        return _MEMORY.sub("", text).strip("- ").upper()
    model = _worded(found["model"])
    if found["series"]:
        return f"{found['series'].upper()} {model}"
    bus = _BUS.search(found["more"])
    return f"{model} {_BUSES.get(bus[1], bus[1].upper())}" if bus and model in _BY_BUS else model


def memory_gb(v0_name: str) -> float:
    """The memory that the name tells; 0 when it tells none."""
    found = _MEMORY.search(v0_name.lower())
    return float(found[1]) if found else 0.0


def _worded(model: str) -> str:
    """`4070tisuper` as "4070 Ti SUPER", `6000ada` as "6000Ada", `a6000` as "A6000"."""
    text = model.upper()
    for written, spelt in _SUFFIXES:
        text = text.replace(written, spelt)
    return _TI.sub(" Ti", text)
