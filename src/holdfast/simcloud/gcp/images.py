"""Images: by family, or by name. What a machine boots makes no difference to what it can do here."""

from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request

from holdfast.simcloud.gcp.envelopes import Row, not_found
from holdfast.simcloud.gcp.names import link, time, wire_id
from holdfast.simcloud.sim import Sim

_FAMILIES: Final = {
    "debian-cloud": {"debian-12": 10, "debian-13": 10},
    "ubuntu-os-cloud": {
        "ubuntu-2204-lts": 10,
        "ubuntu-2404-lts-amd64": 10,
        "ubuntu-accelerator-2204-amd64-with-nvidia-570": 20,
        "ubuntu-accelerator-2404-amd64-with-nvidia-570": 20,
    },
    "deeplearning-platform-release": {
        "common-cu124": 50,
        "common-cu124-ubuntu-2204": 50,
        "common-cu128-ubuntu-2204-nvidia-570": 50,
        "pytorch-2-4-cu124": 50,
    },
    "ml-images": {"common-cu124": 50},
}
"""By project and family: the least size of a boot disk in GB."""
_VERSION = "v20260801"


async def by_family(_sim: Sim, request: Request) -> Row:
    """The newest image of a family."""
    project, family = request.path_params["image_project"], request.path_params["family"]
    size = _FAMILIES.get(project, {}).get(family)
    resource = f"projects/{project}/global/images/family/{family}"
    if size is None:
        raise not_found(resource)
    return _row(project, family, size)


async def by_name(_sim: Sim, request: Request) -> Row:
    """One image."""
    project, name = request.path_params["image_project"], str(request.path_params["image"])
    family = name.removesuffix(f"-{_VERSION}")
    size = _FAMILIES.get(project, {}).get(family)
    if size is None or family == name:
        raise not_found(f"projects/{project}/global/images/{name}")
    return _row(project, family, size)


def least_size(resource: str) -> int | None:
    """The least size in GB of a disk with an image, by the path of either kind; None: there is no such image."""
    parts = resource.split("/")
    if len(parts) < 5 or parts[0] != "projects" or parts[2:4] != ["global", "images"]:
        return None
    family = parts[5] if parts[4] == "family" and len(parts) > 5 else parts[4].removesuffix(f"-{_VERSION}")
    return _FAMILIES.get(parts[1], {}).get(family)


def _row(project: str, family: str, size: int) -> Row:
    name = f"{family}-{_VERSION}"
    return {
        "kind": "compute#image",
        "id": wire_id(sum(name.encode())),
        "name": name,
        "family": family,
        "status": "READY",
        "diskSizeGb": str(size),
        "archiveSizeBytes": str(size * 2**28),
        "creationTimestamp": time(datetime(2026, 8, 1, tzinfo=UTC)),
        "architecture": "X86_64",
        "sourceType": "RAW",
        "selfLink": link(f"projects/{project}/global/images/{name}"),
    }
