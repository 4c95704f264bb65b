"""What a person's own script does with google-cloud-compute. It runs apart from Holdfast and knows nothing of it.

Usage: compute.py ENDPOINT STEP [ARGUMENT...]; what the step found is printed as JSON.
"""

import json
import sys
import uuid

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import compute_v1

PROJECT, ZONE = "holdfast-sim", "us-central1-a"
IMAGE = "projects/deeplearning-platform-release/global/images/family/common-cu124"


def client(kind, endpoint):
    return kind(client_options=ClientOptions(api_endpoint=endpoint))


def done(endpoint, operation):
    """Wait for an operation's end. The library's own waiting knows no endpoint but Google's."""
    while operation.status != compute_v1.Operation.Status.DONE:
        if operation.zone:
            where = {"zone": operation.zone.rsplit("/", 1)[-1]}
            waiting = client(compute_v1.ZoneOperationsClient, endpoint)
        else:
            where, waiting = {}, client(compute_v1.GlobalOperationsClient, endpoint)
        operation = waiting.wait(project=PROJECT, operation=operation.name, **where)
    return {
        "status": operation.status.name,
        "errors": [error.code for error in operation.error.errors],
        "http": operation.http_error_status_code,
    }


def order(name, machine_type, key):
    return compute_v1.Instance(
        name=name,
        machine_type=f"zones/{ZONE}/machineTypes/{machine_type}",
        scheduling=compute_v1.Scheduling(
            provisioning_model="SPOT",
            instance_termination_action="STOP",
            on_host_maintenance="TERMINATE",
            automatic_restart=False,
        ),
        disks=[
            compute_v1.AttachedDisk(
                boot=True,
                auto_delete=True,
                initialize_params=compute_v1.AttachedDiskInitializeParams(
                    source_image=IMAGE, disk_size_gb=100, disk_type=f"zones/{ZONE}/diskTypes/pd-balanced"
                ),
            )
        ],
        network_interfaces=[
            compute_v1.NetworkInterface(
                network="global/networks/default",
                access_configs=[compute_v1.AccessConfig(type_="ONE_TO_ONE_NAT", name="External NAT")],
            )
        ],
        labels={"team": "clients"},
        metadata=compute_v1.Metadata(items=[compute_v1.Items(key="ssh-keys", value=f"ops:{key}")]),
    )


def insert(endpoint, name, machine_type, key):
    """Insert a machine and wait for the operation's end."""
    request = compute_v1.InsertInstanceRequest(
        project=PROJECT,
        zone=ZONE,
        request_id=str(uuid.uuid4()),
        instance_resource=order(name, machine_type, key),
    )
    instances = client(compute_v1.InstancesClient, endpoint)
    first, again = instances.insert_unary(request), instances.insert_unary(request)
    return done(endpoint, first) | {"operation": first.name, "again": again.name, "target": str(first.target_id)}


def show(endpoint, name):
    found = client(compute_v1.InstancesClient, endpoint).get(project=PROJECT, zone=ZONE, instance=name)
    (interface,) = found.network_interfaces
    return {
        "id": str(found.id),
        "status": found.status,
        "labels": dict(found.labels),
        "disks": [disk.disk_size_gb for disk in found.disks],
        "address": interface.access_configs[0].nat_i_p,
    }


def listed(endpoint, query):
    request = compute_v1.AggregatedListInstancesRequest(project=PROJECT, filter=query)
    zones = client(compute_v1.InstancesClient, endpoint).aggregated_list(request=request)
    return {zone: [one.name for one in found.instances] for zone, found in zones if found.instances}


def act(endpoint, verb, name):
    """Stop, start or delete a machine, and wait for the operation's end."""
    call = getattr(client(compute_v1.InstancesClient, endpoint), f"{verb}_unary")
    return done(endpoint, call(project=PROJECT, zone=ZONE, instance=name))


def types(endpoint):
    zones = client(compute_v1.MachineTypesClient, endpoint).aggregated_list(project=PROJECT)
    here = dict(zones)[f"zones/{ZONE}"].machine_types
    return {one.name: [one.guest_cpus, [each.guest_accelerator_type for each in one.accelerators]] for one in here}


def snapshot(endpoint, disk, name):
    """Copy a disk, and make another of the copy in another region."""
    copy = compute_v1.Snapshot(name=name, source_disk=f"projects/{PROJECT}/zones/{ZONE}/disks/{disk}")
    snapshots = client(compute_v1.SnapshotsClient, endpoint)
    done(endpoint, snapshots.insert_unary(project=PROJECT, snapshot_resource=copy))
    while (found := snapshots.get(project=PROJECT, snapshot=name)).status != "READY":
        pass
    disks, elsewhere = client(compute_v1.DisksClient, endpoint), "europe-west4-a"
    made = compute_v1.Disk(name=f"{name}-disk", source_snapshot=f"global/snapshots/{name}")
    done(endpoint, disks.insert_unary(project=PROJECT, zone=elsewhere, disk_resource=made))
    size = disks.get(project=PROJECT, zone=elsewhere, disk=made.name).size_gb
    done(endpoint, disks.delete_unary(project=PROJECT, zone=elsewhere, disk=made.name))
    done(endpoint, snapshots.delete_unary(project=PROJECT, snapshot=name))
    return {"of": found.disk_size_gb, "size": size}


def region(endpoint):
    found = client(compute_v1.RegionsClient, endpoint).get(project=PROJECT, region="us-central1")
    return {quota.metric: [quota.limit, quota.usage] for quota in found.quotas}


STEPS = {
    "insert": insert,
    "show": show,
    "list": listed,
    "act": act,
    "types": types,
    "snapshot": snapshot,
    "region": region,
}


def main():
    endpoint, step, *arguments = sys.argv[1:]
    try:
        print(json.dumps(STEPS[step](endpoint, *arguments)))
    except GoogleAPICallError as refused:
        print(json.dumps({"refused": type(refused).__name__, "words": refused.message, "code": refused.code}))


if __name__ == "__main__":
    main()
