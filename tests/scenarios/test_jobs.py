"""Jobs on the real stack: what they were asked for is safe before their machine goes, whatever happens to it."""

import asyncio
import hashlib
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.service import RPCError, RPCStatusCode

from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.client.errors import HoldfastError, InvalidState, SourceRefused, UnknownJob
from holdfast.client.folders import pin_of
from holdfast.contracts import names
from holdfast.contracts.jobs import ArraySpec, JobCause, JobPhase
from holdfast.contracts.workload import Upshot
from tests.scenarios.conftest import Submit
from tests.scenarios.jobs import Job, counting
from tests.scenarios.looking import look_until

BALLAST = "head -c 64000000 /dev/urandom > out/ballast"  # so that a save takes long enough to be struck in its middle


async def test_a_job_that_is_outbid_ends_as_if_nothing_had_happened(submit: Submit) -> None:
    job = submit("counts", steps=30, budget="1", retries={"errors": 1})
    await job.begins()
    await job.works(step=8)
    job.market.outbid(f"{job.name}-a1")
    ended = await job.ends(JobPhase.SUCCEEDED)
    assert (ended.cause, ended.exit_code, ended.errors) == (JobCause.DONE, 0, 0)
    (attempt,) = ended.attempts
    assert attempt.losses == 1 and attempt.cost == ended.spent > 0
    report = await job.holdfast.report(f"{job.name}-a1")
    assert report.checkpoints[-1].verified_at is not None, "read back before the machine went"
    assert report.checkpoints[-1].verified_at <= job.let_go_at()
    fetched = await job.fetched()
    assert (fetched / "out/count").read_text() == "30\n"
    assert sorted(each.name for each in fetched.iterdir()) == ["out"]
    log = await job.log()
    assert log.count("begins at") == 2 and log.endswith("counted to 30\n")
    (left,) = await job.holdfast.jobs.series(job.name)
    assert (left.name, [each.step for each in left.points]) == ("left", list(range(1, 31)))
    assert [each.value for each in left.points] == [30 - step for step in range(1, 31)]
    assert {each.epoch for each in left.points} == {1, 2}


async def test_an_error_in_the_code_ends_after_as_many_tries_as_are_allowed_and_its_words_are_kept(
    submit: Submit,
) -> None:
    failing = 'echo "attempt $JOB_ATTEMPT fails"; mkdir -p out; echo "$JOB_ATTEMPT" >> out/tried; exit 7'
    job = submit("fails", command=failing, retries={"errors": 1, "wait": "0s"})
    await job.begins()
    ended = await job.ends(JobPhase.FAILED)
    assert (ended.cause, ended.exit_code) == (JobCause.CODE, 7)
    assert [each.upshot for each in ended.attempts] == [Upshot.CODE, Upshot.CODE]
    assert await job.log() == "attempt 1 fails\nattempt 2 fails\n"
    assert (await job.fetched() / "out/tried").read_text() == "1\n2\n", "the second went on from what the first saved"
    on_record = {each.name: each for each in await job.holdfast.jobs.all(ended=True)}
    assert on_record[job.name] == ended

    await job.begins()  # anew, under the name of one that is over
    again = await job.ends(JobPhase.FAILED)
    assert again.submitted_at > ended.submitted_at
    assert await job.log() == "attempt 1 fails\nattempt 2 fails\n", "what the first wrote is not the second's"

    await _forgotten_by_the_server(job)  # as a day later, after its retention
    assert await job.log() == "attempt 1 fails\nattempt 2 fails\n"
    await job.holdfast.jobs.fetch(job.name, job.folder / "later")
    assert (job.folder / "later/out/tried").read_text() == "1\n2\n"

    removed = await job.holdfast.jobs.remove(job.name)
    assert removed.attempts == (f"{job.name}-a1", f"{job.name}-a2") and removed.checkpoints >= 2
    assert removed.log_pieces >= 2
    await look_until(lambda: _is_unknown(job), bool, "it is forgotten", within=60)
    assert job.name not in {each.name for each in await job.holdfast.jobs.all(ended=True)}
    assert [text async for text in job.holdfast.logs(f"{job.name}-a1").so_far()] == []
    report = await job.holdfast.report(f"{job.name}-a1")
    assert report.leases and report.leases[0].closed_at is not None, "what it cost is left"


async def _forgotten_by_the_server(job: Job) -> None:
    server = job.holdfast.temporal
    one = WorkflowExecution(workflow_id=names.job_id(job.name))
    await server.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=server.namespace, workflow_execution=one)
    )

    async def is_gone() -> bool:
        try:
            await server.get_workflow_handle(one.workflow_id).describe()
        except RPCError as err:
            return err.status is RPCStatusCode.NOT_FOUND
        return False

    await look_until(is_gone, bool, "the server has forgotten it", within=60)


async def _is_unknown(job: Job) -> bool:
    try:
        await job.status()
    except UnknownJob:
        return True
    return False


@pytest.mark.long
async def test_a_machine_that_is_lost_while_its_outputs_are_saved_costs_none_of_them(submit: Submit) -> None:
    job = submit(
        "upload", command=f"mkdir -p out; echo done > out/count; {BALLAST}; sleep 2", checkpoint={"every": "1h"}
    )
    await job.begins()
    await job.comes_to(lambda status: status.phase is JobPhase.RUNNING, "it runs")
    saver = job.holdfast.temporal.get_workflow_handle(f"checkpoints/{job.name}-a1")
    async with asyncio.timeout(60):
        while not (await saver.query("catalog"))["saving"]:
            await asyncio.sleep(0.02)
    job.market.kill(f"{job.name}-a1")
    ended = await job.ends(JobPhase.SUCCEEDED)
    assert ended.attempts[0].losses == 1 and len(ended.attempts) == 1
    fetched = await job.fetched()
    assert (fetched / "out/count").read_text() == "done\n"
    assert (fetched / "out/ballast").stat().st_size == 64_000_000


async def test_inputs_are_proven_before_anything_is_rented_and_stand_where_they_were_wanted(submit: Submit) -> None:
    with served({"words.txt": b"one\ntwo\n"}) as url:
        pinned = hashlib.sha256(b"one\ntwo\n").hexdigest()
        job = submit(
            "inputs",
            command="sh main.sh && cat data/words.txt local/deep/more.txt > out",
            inputs=[
                {"source": f"{url}/words.txt", "at": "data/words.txt", "sha256": pinned},
                {"source": "mine", "at": "local"},
            ],
        )
        more = job.folder / "mine/deep/more.txt"
        more.parent.mkdir(parents=True)
        more.write_text("three\n")
        code = job.folder / "code"
        code.mkdir()
        (code / "main.sh").write_text("echo hello\n")
        await job.begins(workdir=code)
        ended = await job.ends(JobPhase.SUCCEEDED)
    assert (await job.fetched() / "out").read_text() == "one\ntwo\nthree\n"
    assert (await job.log()).startswith("hello\n")
    assert [(each.at, each.single) for each in ended.inputs] == [("data/words.txt", True), ("local", False)]
    assert ended.inputs[0].sha256 == pinned


async def test_an_input_of_a_bucket_is_pinned_by_its_hash_and_refused_when_it_has_changed(submit: Submit) -> None:
    pieces = {"pages/a.txt": b"one\n", "pages/deep/b.txt": b"two\n"}
    words, changed = {"words.txt": b"three\n"}, {"words.txt": b"other\n"}  # of the same size
    job = submit("bucket")
    async with bucket(job, "shelf") as shelf:
        await put(shelf, f"{job.name}/", pieces | words)
        folder = job.folder / "pages"
        for path, data in pieces.items():
            (job.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (job.folder / path).write_bytes(data)
        inputs = [
            {"source": f"s3://shelf/{job.name}/pages", "at": "pages", "sha256": pin_of(folder)},
            {
                "source": f"s3://shelf/{job.name}/words.txt",
                "at": "words",
                "sha256": hashlib.sha256(words["words.txt"]).hexdigest(),
            },
        ]
        told: dict[str, Any] = {"command": "cat pages/a.txt pages/deep/b.txt words > out", "inputs": inputs}
        job.spec = counting(job.name, **told)
        await job.begins()
        ended = await job.ends(JobPhase.SUCCEEDED)
        assert (await job.fetched() / "out").read_text() == "one\ntwo\nthree\n"
        assert [each.single for each in ended.inputs] == [False, True]

        await shelf.delete([f"{job.name}/words.txt"])
        await put(shelf, f"{job.name}/", changed)
        again = submit("changed", **told)
        await again.begins()
        refused = await again.ends(JobPhase.FAILED)
        assert refused.cause is JobCause.INPUT and "words.txt is not what the spec pins" in refused.reason
        lacking = submit("lacking", inputs=[{"source": f"s3://shelf/{job.name}/none", "at": "x"}])
        with pytest.raises(SourceRefused, match="no file that is wanted"):
            await lacking.begins()
        unknown = submit("unknown", inputs=[{"source": "s3://no-such-bucket/x", "at": "x"}])
        with pytest.raises(SourceRefused, match="no-such-bucket"):
            await unknown.begins()
    assert again.bill() == lacking.bill() == unknown.bill() == []


async def test_an_input_that_is_not_there_or_not_what_it_should_be_costs_nothing(submit: Submit) -> None:
    with served({"words.txt": b"one\ntwo\n"}) as url:
        missing = submit("missing", inputs=[{"source": f"{url}/none.txt", "at": "data"}])
        with pytest.raises(SourceRefused, match="404"):
            await missing.begins()
        nowhere = submit("nowhere", inputs=[{"source": "no/such/folder", "at": "data"}])
        with pytest.raises(SourceRefused, match="no/such/folder"):
            await nowhere.begins()
        other = submit("other", inputs=[{"source": f"{url}/words.txt", "at": "data", "sha256": "0" * 64}])
        await other.begins()
        ended = await other.ends(JobPhase.FAILED)
    assert ended.cause is JobCause.INPUT and "not what the spec pins" in ended.reason
    assert missing.bill() == nowhere.bill() == other.bill() == []


async def test_a_budget_that_is_reached_in_the_middle_saves_and_stops_it(submit: Submit) -> None:
    job = submit("dear", steps=2000, budget="1")
    await job.begins()
    await job.works(step=5)
    await job.holdfast.jobs.change_budget(job.name, Decimal("0.0001"))
    ended = await job.ends(JobPhase.STOPPED)
    assert ended.cause is JobCause.BUDGET and "is used up" in ended.reason
    assert ended.attempts[0].head is not None and ended.attempts[0].head.reason == "stop"
    (line,) = job.bill()
    one_tick = Decimal("0.60") / 60
    assert Decimal(line["total"]) <= Decimal("0.0001") + one_tick


@pytest.mark.long
async def test_a_job_whose_deadline_is_at_risk_goes_on_on_demand_and_ends_in_time(submit: Submit) -> None:
    """Spot is gone from one moment to the next. It waits for spot while it can, and no longer."""
    job = submit(
        "due",
        steps=50,
        pace=1,
        resources={"gpu": "RTX 4090", "terms": "interruptible", "disk_gb": 10, "regions": ["IS"]},
        policy={"deadline": {"work": "60s", "within": "150s", "changeover": "15s"}},
    )
    await job.begins()
    await job.works(step=5)
    for each in job.market.offers():
        if each["region"] == "Iceland, IS":
            job.market.change_offer(each["slot"], min_bid=Decimal(9))
    waits = await job.comes_to(lambda status: "there is no spot" in status.reason, "it waits for spot")
    assert waits.phase is JobPhase.MOVING and "slack to wait in" in waits.reason
    ended = await job.ends(JobPhase.SUCCEEDED)
    assert ended.ends_by is not None and ended.ended_at is not None
    assert ended.ended_at <= ended.ends_by == ended.submitted_at + timedelta(seconds=150)
    report = await job.holdfast.report(f"{job.name}-a1")
    assert [each.bid is not None for each in report.leases] == [True, False]
    assert (await job.fetched() / "out/count").read_text() == "50\n"
    assert (await job.log()).count("begins at") == 2


async def test_a_job_that_is_cancelled_is_saved_and_its_machine_let_go(submit: Submit) -> None:
    job = submit("cancelled", steps=2000, outputs=["count"])
    await job.begins()
    await job.works(step=5)
    with pytest.raises(InvalidState, match="goes on"):
        await job.holdfast.jobs.remove(job.name)
    await job.holdfast.jobs.cancel(job.name)
    ended = await job.ends(JobPhase.CANCELLED)
    assert ended.cause is JobCause.ASKED
    assert int((await job.fetched() / "count").read_text()) >= 5


@pytest.mark.long
async def test_workers_that_are_killed_cost_a_job_nothing(submit: Submit, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"  # it still works when a worker is back, however long that takes
    job = submit("workers", steps=40, goes_on_at=go_on)
    await job.begins()
    await job.works(step=5)
    job.stage.kill("worker-1")
    await job.works(step=20)
    job.stage.kill("worker-1")
    await job.works(step=40)
    go_on.touch()
    ended = await job.ends(JobPhase.SUCCEEDED)
    assert len(ended.attempts) == 1 and ended.errors == 0
    assert (await job.fetched() / "out/count").read_text() == "40\n"


@pytest.mark.long
async def test_twenty_jobs_of_an_array_share_four_machines(submit: Submit) -> None:
    job = submit("array", command='echo "$ARRAY_INDEX of $ARRAY_SIZE, $SHADE"; mkdir out; echo "$SHADE" > out/shade')
    shades = tuple(f"s{number}" for number in range(20))
    wanted = ArraySpec(values={"SHADE": shades}, at_once=4)
    started = await job.holdfast.jobs.submit_array(job.spec, wanted)
    assert len(started) == 20
    most = 0
    async with asyncio.timeout(600):
        while len(await _ended(job)) < len(started):
            # By workload: one that could not settle on its first machine has a second while that is being given back.
            labels = [each["label"] for each in job.market.instances() if _of_array(each["label"], job)]
            most = max(most, len({label.partition(".")[0] for label in labels}))
            await asyncio.sleep(0.2)
    for each in started:
        assert (await job.holdfast.jobs.wait(each.name)).phase is JobPhase.SUCCEEDED
    assert 2 <= most <= 4
    folder = job.folder / "one"
    await job.holdfast.jobs.fetch(f"{job.name}-7", folder)
    assert (folder / "out/shade").read_text() == "s7\n"


async def _ended(job: Job) -> list[str]:
    try:
        found = await job.holdfast.jobs.all(ended=True, array=job.name)
    except HoldfastError:  # a busy computer: nobody knows, and we look again
        return []
    return [each.name for each in found if each.phase.is_final]


def _of_array(label: str | None, job: Job) -> bool:
    return (label or "").startswith(f"{job.name}-")


@asynccontextmanager
async def bucket(job: Job, name: str) -> AsyncIterator[S3Store]:
    """One more, at the server of the stage's own store."""
    ours = job.stage.settings.store
    opened = S3Store(ours.model_copy(update={"bucket": name, "prefix": ""}))
    await opened.create_bucket()
    try:
        yield opened
    finally:
        await opened.close()


async def put(store: S3Store, prefix: str, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        assert await store.put(prefix + path, data)


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[str]:
    """These files, on a web server of our own; its address."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return
