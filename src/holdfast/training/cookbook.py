"""The templates that come with the package, data in `templates/`, and what the trainer needs on a machine."""

from importlib.resources import files
from typing import Final

import yaml
from pydantic import TypeAdapter

from holdfast.contracts.training import Method, Template

_TEMPLATE = TypeAdapter(Template)
LIBRARIES: Final = ("transformers==5.24.0", "peft==0.21.2", "accelerate==1.15.0")
"""What the trainer was proven with. PyTorch is the image's."""
FOR_QLORA: Final = ("bitsandbytes==0.50.2",)


def templates() -> dict[str, Template]:
    """Every template by its name, in the order of their names."""
    folder = files("holdfast.training").joinpath("templates")
    found = [_TEMPLATE.validate_python(yaml.safe_load(each.read_text())) for each in folder.iterdir()]
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def setup_for(method: Method) -> str:
    """The shell command that makes a machine of the default image ready for the trainer."""
    wanted = LIBRARIES + (FOR_QLORA if method is Method.QLORA else ())
    return f"python3 -m pip install --quiet --no-cache-dir {' '.join(wanted)}"
