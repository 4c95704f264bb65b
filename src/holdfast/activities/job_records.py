"""What is on record of jobs, and which of them run."""

import asyncio
from decimal import Decimal

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from holdfast.activities.beating import beating
from holdfast.activities.running import runs
from holdfast.activities.translation import translated
from holdfast.contracts import names
from holdfast.contracts.activities import ForgetJobInput, JobPage, ListJobsInput, RecordJobInput
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.jobs import JobStatus
from holdfast.records.store import Records


class JobRecords:
    """Every method may be repeated."""

    def __init__(self, records: Records, client: Client) -> None:
        self._records = records
        self._client = client

    @activity.defn
    def record_job(self, order: RecordJobInput) -> None:
        with translated():
            self._records.record_job(order)

    @activity.defn
    def cost_of_attempt(self, workload: str) -> Decimal:
        with translated():
            return self._records.cost_of(workload)

    @activity.defn
    def read_job(self, name: str) -> JobStatus | None:
        with translated():
            return self._records.job(name)

    @activity.defn
    def list_jobs(self, order: ListJobsInput) -> JobPage:
        with translated():
            return self._records.jobs(order)

    @activity.defn
    async def gone_jobs(self, jobs: list[str]) -> list[str]:
        async with beating():
            return [each for each in jobs if not await runs(self._client, names.job_id(each))]

    @activity.defn
    async def forget_job(self, order: ForgetJobInput) -> int:
        async with beating():
            for each in (names.job_id(order.job), *map(names.workload_id, order.attempts)):
                if await runs(self._client, each):
                    raise ApplicationError(f"{each} runs", type=ErrorType.INVALID_STATE, non_retryable=True)
            with translated():
                return await asyncio.to_thread(self._records.forget_job, order)

    def all(self) -> list[object]:
        """For the worker."""
        return [self.record_job, self.cost_of_attempt, self.read_job, self.list_jobs, self.gone_jobs, self.forget_job]
