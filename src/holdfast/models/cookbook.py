"""The recipes that come with the package: data in `recipes/`, one file for each server."""

from importlib.resources import files

import yaml
from pydantic import TypeAdapter

from holdfast.contracts.models import Recipe

_RECIPE = TypeAdapter(Recipe)


def recipes() -> dict[str, Recipe]:
    """Every recipe by its name."""
    folder = files("holdfast.models").joinpath("recipes")
    found = [_RECIPE.validate_python(yaml.safe_load(each.read_text())) for each in folder.iterdir()]
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}
