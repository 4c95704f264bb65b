"""What Vast.ai puts into the environment of its machines."""

from holdfast.simcloud.model import Instance, Slot


def variables(instance: Instance, slot: Slot) -> dict[str, str]:
    """With the key that lets a machine act on itself."""
    return {
        "PUBLIC_IPADDR": slot.hardware.public_ip,
        "VAST_CONTAINERLABEL": f"C.{instance.id}",
        "CONTAINER_ID": str(instance.id),
        "CONTAINER_API_KEY": instance.api_key,
    }
