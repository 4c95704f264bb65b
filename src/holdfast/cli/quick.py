"""Keep the parser from importing pydantic where there is nothing to convert.

Typer converts every parameter by pydantic, also those that nobody gave: that alone would double the time of
`holdfast ps`.
"""

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperOption


class QuickCommand(TyperCommand):
    """A command that converts only what was given and is not text already."""

    def get_params(self, ctx: Any) -> list[Any]:
        return spared(super().get_params(ctx))


def spared(parameters: list[Any]) -> list[Any]:
    """The same parameters, which now pass nothing, and text for a text parameter, as they are."""
    for parameter in parameters:
        ours = isinstance(parameter, TyperOption | TyperArgument)
        if ours and not parameter.required and "process_value" not in vars(parameter):
            _spare(parameter)
    return parameters


def _spare(parameter: TyperOption | TyperArgument) -> None:
    convert = parameter.process_value
    takes_text = parameter.type_descriptor.annotation is str

    def process_value(ctx: Any, value: Any) -> Any:
        if value is None or (takes_text and isinstance(value, str)):
            return value
        return convert(ctx, value)

    parameter.process_value = process_value  # type: ignore[method-assign]  # for this one object
