"""Where models come from: what a source must be able to do, and how one is named."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from holdfast.contracts.models import ModelFile, ModelPlan
from holdfast.models.errors import SourceRefused

HUB, BUCKET = "hf:", "s3://"
DATASETS = "datasets/"
WEB = ("https://", "http://")
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,199}")
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Source(Protocol):
    """Files of one model. Every method may raise SourceUnavailable (retry) or SourceRefused (ask a person)."""

    async def plan(self) -> ModelPlan:
        """Say what there is and settle on a revision; nothing is fetched."""
        ...

    def read(self, plan: ModelPlan, file: ModelFile, start: int) -> AsyncIterator[bytes]:
        """The bytes of a file from an offset on."""
        ...

    async def close(self) -> None:
        """Let go of sockets."""
        ...


@asynccontextmanager
async def closing(source: Source) -> AsyncIterator[Source]:
    """Let go of a source when the block ends."""
    try:
        yield source
    finally:
        await source.close()


@dataclass(frozen=True, kw_only=True)
class HubName:
    """A model on the hub."""

    model: str
    revision: str = "main"
    is_dataset: bool = False  # a repository of data, which the hub keeps apart


@dataclass(frozen=True, kw_only=True)
class BucketName:
    """A folder in a bucket."""

    bucket: str
    prefix: str


def is_remote(source: str) -> bool:
    """Whether this names something elsewhere, and not a folder of this computer."""
    return source.startswith((HUB, BUCKET))


def parse(source: str) -> HubName | BucketName:
    """Read `hf:org/name`, `hf:org/name@revision` or `s3://bucket/prefix`.

    Raises:
        SourceRefused: it is none of these.
    """
    if source.startswith(HUB):
        model, _, revision = source.removeprefix(HUB).partition("@")
        if not _MODEL_ID.fullmatch(model) or ".." in source or not _REVISION.fullmatch(revision or "main"):
            raise SourceRefused(f"{source[:200]!r} names no model; write hf:org/name or hf:org/name@revision")
        return HubName(model=model, revision=revision or "main")
    bucket, _, prefix = source.removeprefix(BUCKET).partition("/")
    if not source.startswith(BUCKET) or not _BUCKET_NAME.fullmatch(bucket) or not prefix.strip("/"):
        raise SourceRefused(f"{source[:200]!r} names no model; write hf:org/name or s3://bucket/prefix")
    return BucketName(bucket=bucket, prefix=prefix.strip("/"))


def is_elsewhere(source: str) -> bool:
    """Whether an input comes from elsewhere, and not from this computer."""
    return source.startswith((HUB, BUCKET, *WEB))


def parse_input(source: str) -> HubName | BucketName | str:
    """As `parse`, and also `hf:datasets/org/name` and the address of a file.

    Raises:
        SourceRefused: it is none of these.
    """
    if source.startswith(WEB):
        return source
    if source.startswith(HUB + DATASETS):
        name = parse(HUB + source.removeprefix(HUB + DATASETS))
        assert isinstance(name, HubName), "it begins as one"
        return HubName(model=name.model, revision=name.revision, is_dataset=True)
    return parse(source)
