"""The public API for other programs: `Holdfast`, one typed async method per operation, and its errors.

    from holdfast.client import Holdfast

    async with Holdfast.connect() as holdfast:
        status = await holdfast.status("train")

Names are loaded when they are first used: a program that only lists workloads does not wait for the whole SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.client.errors import HoldfastError as HoldfastError
    from holdfast.client.holdfast import Holdfast as Holdfast
    from holdfast.client.listing import WorkloadLine as WorkloadLine
    from holdfast.client.specs import read_spec as read_spec
    from holdfast.client.status import WorkloadView as WorkloadView

_HOMES = {
    "Holdfast": "holdfast",
    "HoldfastError": "errors",
    "WorkloadLine": "listing",
    "WorkloadView": "status",
    "read_spec": "specs",
}

__all__ = ["Holdfast", "HoldfastError", "WorkloadLine", "WorkloadView", "read_spec"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
