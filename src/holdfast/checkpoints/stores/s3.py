"""A bucket of any store that speaks S3.

obstore moves the bytes; boto3 signs addresses and looks after the bucket. A custom endpoint is addressed by path, since
its certificate and name rarely cover one host name per bucket.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import obstore
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store as Bucket

from holdfast.checkpoints.errors import StoreRefused, StoreUnavailable
from holdfast.checkpoints.stores.base import SignedRequest, StoredObject, StoreFacts
from holdfast.checkpoints.stores.probing import probe
from holdfast.settings import StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# obstore has a type of its own, and raises the built-in one.
MISSING = (NotFoundError, FileNotFoundError)
RETRIES = 4
RETRY_FOR = timedelta(seconds=20)
SILENCE = timedelta(seconds=30)


class S3Store:
    """Objects below one prefix of a bucket. See `Store` for what each method promises."""

    def __init__(self, settings: StoreSettings) -> None:
        assert settings.bucket and settings.access_key_id and settings.secret_access_key
        self._bucket_name = settings.bucket
        self._prefix = settings.prefix.strip("/") + "/" if settings.prefix.strip("/") else ""
        self._region = settings.region
        self._bucket = _open_bucket(settings, self._prefix)
        self._client = _open_client(settings)

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes | None:
        with contextlib.suppress(*MISSING):
            async with _translated(self._bucket_name, may_lack=True):
                if length is not None:
                    return bytes(await obstore.get_range_async(self._bucket, key, start=start, length=length))
                found = await obstore.get_async(self._bucket, key)
                return bytes(await found.bytes_async())[start:]
        return None

    async def put(self, key: str, data: bytes) -> bool:
        async with _translated(self._bucket_name):
            try:
                await obstore.put_async(self._bucket, key, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            except NotSupportedError:
                return await self._put_unless_seen(key, data)
        return True

    async def head(self, key: str) -> StoredObject | None:
        with contextlib.suppress(*MISSING):
            async with _translated(self._bucket_name, may_lack=True):
                found = await obstore.head_async(self._bucket, key)
                return _described(found, key)
        return None

    async def list(self, prefix: str) -> list[StoredObject]:
        found = []
        async with _translated(self._bucket_name):
            async for batch in obstore.list(self._bucket, prefix=prefix, chunk_size=1000):
                found += [_described(each, each["path"]) for each in batch]
        # Stores differ in their order around "/", so none is relied upon.
        return sorted(found, key=lambda each: each.key)

    async def delete(self, keys: Iterable[str]) -> None:
        doomed = list(keys)
        if not doomed:
            return
        async with _translated(self._bucket_name):
            with contextlib.suppress(*MISSING):
                await obstore.delete_async(self._bucket, doomed)

    async def sign_put(self, key: str, *, size: int, md5: str, expires: timedelta) -> SignedRequest:
        # The digest is part of what is signed: the store refuses any other body.
        url = await asyncio.to_thread(
            self._client.generate_presigned_url,
            "put_object",
            Params={"Bucket": self._bucket_name, "Key": self._prefix + key, "ContentMD5": md5, "ContentLength": size},
            ExpiresIn=int(expires.total_seconds()),
        )
        return SignedRequest(url=url, headers={"Content-MD5": md5})

    async def sign_get(self, key: str, *, expires: timedelta) -> SignedRequest:
        url = await asyncio.to_thread(
            self._client.generate_presigned_url,
            "get_object",
            Params={"Bucket": self._bucket_name, "Key": self._prefix + key},
            ExpiresIn=int(expires.total_seconds()),
        )
        return SignedRequest(url=url)

    async def probe(self) -> StoreFacts:
        return await probe(self)

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)

    async def create_bucket(self) -> None:
        """Make the bucket unless we own it already. Only for stores of our own: elsewhere that is its owner's work."""
        elsewhere = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
        try:
            await asyncio.to_thread(self._create_bucket, elsewhere)
        except self._client.exceptions.BucketAlreadyOwnedByYou:
            return
        except ClientError as err:
            raise StoreRefused(f"bucket {self._bucket_name}: {err}") from None
        except BotoCoreError as err:
            raise StoreUnavailable(f"bucket {self._bucket_name}: {err}") from None

    def _create_bucket(self, elsewhere: dict[str, str]) -> None:
        if elsewhere:
            self._client.create_bucket(Bucket=self._bucket_name, CreateBucketConfiguration=elsewhere)  # type: ignore[arg-type]  # the region is the operator's text
        else:
            self._client.create_bucket(Bucket=self._bucket_name)

    async def _put_unless_seen(self, key: str, data: bytes) -> bool:
        """For stores without conditional puts: content-addressed keys make the remaining race harmless."""
        if await self.head(key) is not None:
            return False
        await obstore.put_async(self._bucket, key, data, use_multipart=False)
        return True


def _open_bucket(settings: StoreSettings, prefix: str) -> Bucket:
    assert settings.access_key_id and settings.secret_access_key
    endpoint = settings.endpoint or ""
    return Bucket(
        settings.bucket,
        prefix=prefix.rstrip("/") or None,
        region=settings.region,
        access_key_id=settings.access_key_id.get_secret_value(),
        secret_access_key=settings.secret_access_key.get_secret_value(),
        virtual_hosted_style_request=not endpoint,
        client_options={"allow_http": endpoint.startswith("http://"), "timeout": SILENCE},
        retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_FOR},
        config={"endpoint": endpoint} if endpoint else {},
    )


def _open_client(settings: StoreSettings) -> "S3Client":
    assert settings.access_key_id and settings.secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.access_key_id.get_secret_value(),
        aws_secret_access_key=settings.secret_access_key.get_secret_value(),
        config=Config(
            # Without s3v4 the address would be signed the old way, which most stores no longer take.
            signature_version="s3v4",
            s3={"addressing_style": "path" if settings.endpoint else "virtual"},
            # Some stores refuse the SDK's own checksum headers, and an agent could not compute them.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _described(found: Mapping[str, Any], key: str) -> StoredObject:
    return StoredObject(
        key=key, size=found["size"], modified=found["last_modified"], mark=(found["e_tag"] or "").strip('"')
    )


@contextlib.asynccontextmanager
async def _translated(bucket: str, *, may_lack: bool = False) -> AsyncIterator[None]:
    """Turn the client's errors into ours. The client has already retried what a retry can cure."""
    try:
        yield
    except MISSING as err:
        if may_lack and "NoSuchBucket" not in str(err):
            raise
        raise StoreRefused(f"the store does not know the bucket {bucket}") from None
    except (PermissionDeniedError, UnauthenticatedError) as err:
        raise StoreRefused(f"the store refuses our key for the bucket {bucket}: {_first_line(err)}") from None
    except (BaseError, OSError) as err:
        kind = StoreRefused if _is_refusal(err) else StoreUnavailable
        raise kind(f"bucket {bucket}: {_first_line(err)}") from None


def _is_refusal(err: Exception) -> bool:
    """Whether a general error hides an answer of 4xx that no retry can cure: listings come back so."""
    found = re.search(r"status code: (\d{3})", str(err))
    return found is not None and found[1][0] == "4" and found[1] not in ("408", "429")


def _first_line(err: Exception) -> str:
    return str(err).partition("\n")[0][:300]
