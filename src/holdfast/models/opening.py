"""The one list of sources."""

from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.models.bucket import BucketSource
from holdfast.models.errors import SourceRefused
from holdfast.models.sources import BucketName, HubName, Source, parse, parse_input
from holdfast.settings import Settings, StoreSettings


def open_source(source: str, settings: Settings, token: str | None) -> Source:
    """The source that is named. Nothing is contacted before its first use.

    Raises:
        SourceRefused: it names none, or a bucket for which no key is set.
    """
    return _opened(parse(source), source, settings, token)


def open_input(source: str, settings: Settings, token: str | None) -> Source:
    """The same for an input of a job, which may also be data of the hub, or a file of the web."""
    name = parse_input(source)
    if isinstance(name, str):
        from holdfast.models.web import WebSource, name_in  # noqa: PLC0415 (as below)

        name_in(name)
        return WebSource(name, token=token)
    return _opened(name, source, settings, token, single=True)


def _opened(
    name: HubName | BucketName, source: str, settings: Settings, token: str | None, *, single: bool = False
) -> Source:
    if isinstance(name, HubName):
        from holdfast.models.hub import HubSource  # noqa: PLC0415 (loads an HTTP client, which hosts seldom need)

        return HubSource(name, url=settings.models.hub_url, token=token)
    store = S3Store(_bucket_settings(name.bucket, settings))
    return BucketSource(store, name=source.rstrip("/"), prefix=name.prefix, single=single)


def _bucket_settings(bucket: str, settings: Settings) -> StoreSettings:
    ours = settings.models
    if ours.s3_access_key_id is not None:
        return StoreSettings(
            kind="s3",
            bucket=bucket,
            endpoint=ours.s3_endpoint,
            region=ours.s3_region,
            access_key_id=ours.s3_access_key_id,
            secret_access_key=ours.s3_secret_access_key,
        )
    if settings.store.kind == "s3":
        return settings.store.model_copy(update={"bucket": bucket, "prefix": ""})
    raise SourceRefused(
        "no key for s3:// sources is set on the host workers; set HOLDFAST_MODELS__S3_ACCESS_KEY_ID and "
        "HOLDFAST_MODELS__S3_SECRET_ACCESS_KEY there"
    )
