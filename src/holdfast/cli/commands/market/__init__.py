"""`holdfast market …`: prices and losses, what to expect of them, and what to do about it. A file each."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import typer

app = typer.Typer(
    help="Look at prices, forecast them, decide when to start.", no_args_is_help=True, rich_markup_mode=None
)

# Each file adds its command to `app` when it is loaded; none may load anything heavy to do so.
for _found in sorted(each.name for each in iter_modules(__path__)):
    import_module(f"{__name__}.{_found}")
