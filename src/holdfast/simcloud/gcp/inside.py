"""What Compute Engine's stock images set inside a machine: the login is the one of the key, and not root."""

from holdfast.simcloud.gcp.records import Machine
from holdfast.simcloud.model import Instance, Slot


def variables(instance: Instance, _slot: Slot) -> dict[str, str]:
    """Google gives a machine no key of its own."""
    login = Machine.model_validate(instance.notes).login
    return {"USER": login, "LOGNAME": login}
