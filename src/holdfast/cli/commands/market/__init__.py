"""`holdfast market …`: prices and losses, what to expect of them, and what to do about it. A file each."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Look at prices, forecast them, decide when to start.", no_args_is_help=True, rich_markup_mode=None
)
