"""What a machine of Compute Engine finds inside: the login of its key, which is not root, and a metadata server that
tells it about itself, and that Google takes it back.
"""

from typing import Any

from holdfast.simcloud.gcp.names import PROJECT, wire_id
from holdfast.simcloud.gcp.records import Machine
from holdfast.simcloud.hosts.folder import Facts
from holdfast.simcloud.model import Instance, Slot

_PROJECT_NUMBER = "481216234210"


def variables(instance: Instance, _slot: Slot) -> dict[str, str]:
    """Google gives a machine no key of its own."""
    login = Machine.model_validate(instance.notes).login
    return {"USER": login, "LOGNAME": login}


def tell(instance: Instance, _slot: Slot) -> Facts:
    """What stands under `/computeMetadata/v1/`."""
    machine = Machine.model_validate(instance.notes)
    project = {"project-id": PROJECT, "numeric-project-id": _PROJECT_NUMBER, "attributes": {}}
    return Facts(tree={"instance": _facts(instance, machine), "project": project}, going_down=machine.asked_off)


def _facts(instance: Instance, machine: Machine) -> dict[str, Any]:
    place = f"projects/{_PROJECT_NUMBER}"
    return {
        "attributes": {item["key"]: item["value"] for item in machine.metadata},
        "hostname": f"{instance.alias}.{machine.zone}.c.{PROJECT}.internal",
        "id": wire_id(instance.id),
        "machine-type": f"{place}/machineTypes/{machine.machine_type}",
        "maintenance-event": "NONE",
        "name": instance.alias,
        "network-interfaces": {"0": {"access-configs": {"0": {"external-ip": instance.address}}}},
        "preempted": "FALSE" if machine.noticed_at is None else "TRUE",
        "scheduling": {
            "automatic-restart": _word(machine.scheduling.get("automaticRestart")),
            "on-host-maintenance": machine.scheduling.get("onHostMaintenance"),
            "preemptible": _word(machine.spot),
        },
        "service-accounts": {},
        "zone": f"{place}/zones/{machine.zone}",
    }


def _word(value: object) -> str:
    return "TRUE" if value else "FALSE"
