"""What TensorDock's stock images set inside a machine: the login is not root."""

from holdfast.simcloud.model import Instance, Slot

LOGIN = "user"


def variables(_instance: Instance, _slot: Slot) -> dict[str, str]:
    """TensorDock gives a machine no key of its own."""
    return {"USER": LOGIN, "LOGNAME": LOGIN}
