"""Names that are a wire format: workflow types and ids, task queues, search attributes.

A name here may be added, never changed: running histories, dashboards and other services' code hold on to it.
"""

import re
from typing import Final

from temporalio.common import SearchAttributeKey

# Workflow types.
WORKLOAD: Final = "workload"
FAILOVER: Final = "failover"
CHECKPOINT_SYNC: Final = "checkpoint_sync"
WATCH: Final = "watch"
RELEASE: Final = "release"
GARBAGE: Final = "garbage"
SWEEP: Final = "sweep"
RECONCILE: Final = "reconcile"
SURVEY: Final = "survey"
MIRROR: Final = "mirror"
WARM_POOL: Final = "warm_pool"
DISK_COPIES: Final = "disk_copies"
ENDPOINT: Final = "endpoint"
MODEL_REGISTRATION: Final = "model_registration"
DEPLOYMENT: Final = "deployment"
FINE_TUNE: Final = "fine_tune"
JOB: Final = "job"
JOB_QUEUE: Final = "job_queue"

# Task queues: one per kind of worker, named after what the worker holds.
CONTROL_QUEUE: Final = "holdfast"
HOSTS_QUEUE: Final = "hosts"
ANALYSIS_QUEUE: Final = "analysis"

# Search attributes. One namespace of a SQL-backed server has room for ten keywords and three of each other type.
SA_WORKLOAD: Final = SearchAttributeKey.for_keyword("HoldfastWorkload")
SA_STATE: Final = SearchAttributeKey.for_keyword("HoldfastState")
SA_PROVIDER: Final = SearchAttributeKey.for_keyword("HoldfastProvider")
SA_GPU: Final = SearchAttributeKey.for_keyword("HoldfastGpu")
SA_EPOCH: Final = SearchAttributeKey.for_int("HoldfastEpoch")
SA_HOURLY_USD: Final = SearchAttributeKey.for_float("HoldfastHourlyUsd")
SEARCH_ATTRIBUTES: Final = (SA_WORKLOAD, SA_STATE, SA_PROVIDER, SA_GPU, SA_EPOCH, SA_HOURLY_USD)
# As the `temporal` command spells their types.
SEARCH_ATTRIBUTE_TYPES: Final = {
    "HoldfastWorkload": "Keyword",
    "HoldfastState": "Keyword",
    "HoldfastProvider": "Keyword",
    "HoldfastGpu": "Keyword",
    "HoldfastEpoch": "Int",
    "HoldfastHourlyUsd": "Double",
}

# A spec's name, an epoch, and the mark of the installation, which labels from before there were marks lack.
# 63 characters at most: no provider is known that allows fewer.
_LABEL: Final = re.compile(
    r"(?P<workload>[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?)\.e(?P<epoch>0|[1-9][0-9]{0,7})(\.(?P<mark>[a-z0-9]{4}))?"
)
MARK_LENGTH: Final = 4
_POOL: Final = "pool--"
_COPY: Final = "hf-"
_MODEL: Final = "model--"
_JOB: Final = "job--"


def provider_queue(provider: str) -> str:
    """The queue of the workers that hold this provider's key and keep its rate limits."""
    return f"provider-{provider}"


def workload_id(workload: str) -> str:
    return f"workload/{workload}"


def failover_id(workload: str, epoch: int) -> str:
    """`epoch` is the one that was lost: one loss, one answer."""
    return f"failover/{workload}/e{epoch}"


def checkpoints_id(workload: str) -> str:
    return f"checkpoints/{workload}"


def disk_id(workload: str) -> str:
    return f"disk/{workload}"


def release_id(label: str) -> str:
    return f"release/{label}"


def pool_id(pool: str) -> str:
    return f"pool/{pool}"


def endpoint_id(endpoint: str) -> str:
    return f"endpoint/{endpoint}"


def fine_tune_id(name: str) -> str:
    return f"fine-tune/{name}"


def job_id(job: str) -> str:
    return f"job/{job}"


def job_queue_id(tenant: str) -> str:
    """The jobs of a tenant that wait, and those that run."""
    return f"job-queue/{tenant}"


def deployment_id(deployment: str) -> str:
    return f"deployment/{deployment}"


def pool_record(pool: str) -> str:
    """The name under which the records and labels know a pool's machines. No workload may have such a name."""
    return f"{_POOL}{pool}"


def is_pool_record(name: str) -> bool:
    return name.startswith(_POOL)


def model_id(model: str) -> str:
    """The registration of a model: one at a time under a name."""
    return f"model/{model}"


def model_record(model: str) -> str:
    """The name under which the store knows a model's files. No workload may have such a name."""
    return f"{_MODEL}{model}"


def is_model_record(name: str) -> bool:
    return name.startswith(_MODEL)


def job_record(job: str) -> str:
    """The name under which the store knows a job's files. No workload may have such a name."""
    return f"{_JOB}{job}"


def is_job_record(name: str) -> bool:
    return name.startswith(_JOB)


def owner_id(name: str) -> str:
    """The workflow that owns what the records hold under this name."""
    return pool_id(name.removeprefix(_POOL)) if is_pool_record(name) else workload_id(name)


def watch_id(provider: str) -> str:
    return f"watch/{provider}"


def sweep_id(provider: str) -> str:
    """The schedule's id, and the beginning of the ids of its runs."""
    return f"sweep/{provider}"


def reconcile_id(provider: str) -> str:
    """The schedule's id, and the beginning of the ids of its runs."""
    return f"reconcile/{provider}"


def mirror_id(mirror: str) -> str:
    """The schedule's id, and the beginning of the ids of its runs."""
    return f"mirror/{mirror}"


def label(workload: str, epoch: int, mark: str = "") -> str:
    """What makes renting repeatable, as a machine wears it at its provider: `<workload>.e<epoch>.<mark>`.

    `mark` tells installations apart that share an account; "" only for workloads that began before there were marks.
    """
    return f"{workload}.e{epoch}.{mark}" if mark else f"{workload}.e{epoch}"


def parse_label(text: str) -> tuple[str, int] | None:
    """The workload and epoch of one of our labels, or None for a label that is not ours.

    Exactly as `label` writes them: what others write on machines of the same account may be anything, of any length.
    """
    found = _LABEL.fullmatch(text)
    return (found["workload"], int(found["epoch"])) if found else None


def copy_name(workload: str, number: int, mark: str) -> str:
    """What a copy of a disk is called at its provider: 63 characters at most, up to a workload's millionth copy."""
    return f"{_COPY}{workload}-{number}-{mark}"


def is_copy_of(mark: str, text: str) -> bool:
    """Whether a copy may be of the installation with this mark."""
    return text.startswith(_COPY) and text.endswith(f"-{mark}")


def is_label_of(mark: str, text: str) -> bool:
    """Whether a label may be of the installation with this mark; one without any mark may be anybody's."""
    found = _LABEL.fullmatch(text)
    return found is not None and found["mark"] in (None, mark)
