"""A registry of models for the stories: workflow, activities, records and store are the real ones."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from temporalio.client import Client
from temporalio.worker import Worker

from holdfast.activities.garbage import GarbageActivities
from holdfast.activities.model_records import ModelRecords
from holdfast.activities.models import ModelActivities
from holdfast.activities.records import RecordActivities
from holdfast.activities.secrets import SecretSource
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts import names
from holdfast.contracts.models import ModelVersion, RegisterModelInput
from holdfast.settings import ModelSettings, Settings
from holdfast.telemetry.metrics import Metrics
from holdfast.workers.durable import SANDBOX
from holdfast.workflows.model_registration import ModelRegistrationWorkflow
from tests.hub import Hub
from tests.unit.records.makers import new_records


class Registry:
    """One installation's records and store; what its workers fetch, they fetch from this hub."""

    def __init__(self, client: Client, folder: Path, hub: Hub) -> None:
        self.client = client
        self.records = new_records(folder)
        self.store = FolderStore(folder / "store")
        self.engine = CheckpointEngine(self.store)
        self.settings = Settings(data_dir=folder / "data", models=ModelSettings(hub_url=hub.address))
        self.secrets = self.settings.data_dir / "secrets"
        self.staging = self.settings.data_dir / "models"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Control and host workers, until the block ends."""
        metrics = Metrics(CollectorRegistry())
        models = ModelActivities(
            self.engine, settings=self.settings, secrets=SecretSource(self.secrets), metrics=metrics
        )
        on_record = RecordActivities(self.records, providers=(), metrics=metrics)
        with ThreadPoolExecutor(4) as threads:
            control = Worker(
                self.client,
                task_queue=names.CONTROL_QUEUE,
                workflows=[ModelRegistrationWorkflow],
                workflow_runner=SANDBOX,
                activities=[*ModelRecords(self.records).all(), on_record.list_live_manifests],
                activity_executor=threads,
            )
            host = Worker(
                self.client,
                task_queue=names.HOSTS_QUEUE,
                activities=[
                    models.plan_model,
                    models.fetch_model,
                    GarbageActivities(self.engine).collect_unneeded,
                ],
            )
            async with control, host:
                yield

    async def register(self, name: str, source: str = "hf:org/tiny", **more: Any) -> ModelVersion:
        return await self.client.execute_workflow(
            ModelRegistrationWorkflow.run,
            RegisterModelInput(name=name, source=source, **more),
            id=names.model_id(name),
            task_queue=names.CONTROL_QUEUE,
        )

    async def live(self) -> list[str]:
        """The manifests of models that are in the store."""
        return [str(each) for each in await self.engine.catalog("model--")]
