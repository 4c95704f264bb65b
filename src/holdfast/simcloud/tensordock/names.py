"""TensorDock's names for GPUs, places and nodes, made from those that a profile uses."""

import uuid

from holdfast.simcloud.model import Hardware

_SPACE = uuid.UUID("6b1f6b0e-6d0a-4c5e-9a54-7d0c2f1b8e10")
_COUNTRIES = {
    "BG": "Bulgaria",
    "CA": "Canada",
    "DE": "Germany",
    "FR": "France",
    "GB": "United Kingdom",
    "IN": "India",
    "JP": "Japan",
    "NL": "Netherlands",
    "NO": "Norway",
    "PL": "Poland",
    "SE": "Sweden",
    "SG": "Singapore",
    "US": "United States",
}
_BUSES = {"SXM4": "sxm4", "SXM": "sxm5", "PCIE": "pcie"}
_MARKETING = {"RTX 3": "geforce", "RTX 4": "geforce", "RTX 5": "geforce"}


def node_id(machine: int) -> str:
    """The id of the host node that a machine of the profile is."""
    return str(uuid.uuid5(_SPACE, f"hostnode/{machine}"))


def location_id(region: str) -> str:
    """The id of a place."""
    return str(uuid.uuid5(_SPACE, f"location/{region}"))


def v0_name(hardware: Hardware) -> str:
    """A GPU as deploys name it, such as `geforcertx4090-pcie-24gb`."""
    words = hardware.gpu.split()
    bus = _BUSES.get(words[-1])
    model = "".join(words[:-1] if bus else words).lower()
    series = next((series for family, series in _MARKETING.items() if hardware.gpu.startswith(family)), "")
    return f"{series}{model}-{bus or 'pcie'}-{round(hardware.gpu_ram / 1024)}gb"


def display_name(hardware: Hardware) -> str:
    """A GPU as people read it."""
    return f"{hardware.gpu_shown_as} {round(hardware.gpu_ram / 1024)}GB"


def place(region: str) -> dict[str, str]:
    """City, state and country of "Chubbuck, Idaho, US"; the country by its name, as TensorDock tells it."""
    parts = [part.strip() for part in region.split(",")]
    return {
        "city": parts[0],
        "stateprovince": parts[-2] if len(parts) > 1 else "",
        "country": _COUNTRIES.get(parts[-1], parts[-1]),
    }
