"""A small web service that runs workloads for its users, on `holdfast.client`.

    uvicorn examples.service:app --port 8080

    curl -X POST localhost:8080/runs --data-binary @examples/specs/minimal.yaml
    curl localhost:8080/runs/hello

The service holds no state: it may die and come back at any moment, and several copies may run side by side.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.client import Holdfast, HoldfastError, WorkloadView, read_spec
from holdfast.client.errors import AlreadyRunning, InvalidState, NoOffers, SpecInvalid, UnknownWorkload

STATUS_OF: dict[type[HoldfastError], HTTPStatus] = {
    SpecInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownWorkload: HTTPStatus.NOT_FOUND,
    AlreadyRunning: HTTPStatus.CONFLICT,
    InvalidState: HTTPStatus.CONFLICT,
    NoOffers: HTTPStatus.CONFLICT,
}
VIEW = TypeAdapter(WorkloadView)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """One connection for the life of the service."""
    async with Holdfast.connect() as holdfast:
        app.state.holdfast = holdfast
        yield


async def create_run(request: Request) -> Response:
    """POST /runs with a spec in YAML: start it, and say where its status is."""
    spec = read_spec((await request.body()).decode(), source="body")
    started = await request.app.state.holdfast.run(spec)
    where = f"/runs/{started.name}"
    return JSONResponse({"name": started.name, "run_id": started.run_id}, HTTPStatus.CREATED, {"Location": where})


async def show_run(request: Request) -> Response:
    """GET /runs/{name}: its status, with the freshest telemetry."""
    view = await request.app.state.holdfast.status(request.path_params["name"])
    return Response(VIEW.dump_json(view), media_type="application/json")


async def stop_run(request: Request) -> Response:
    """DELETE /runs/{name}: save, end, let the machine go."""
    ack = await request.app.state.holdfast.stop(request.path_params["name"])
    return JSONResponse({"phase": ack.phase, "detail": ack.detail}, HTTPStatus.ACCEPTED)


async def explain(_request: Request, err: Exception) -> Response:
    """Every Holdfast error says what happened and what to do about it."""
    assert isinstance(err, HoldfastError)
    status = STATUS_OF.get(type(err), HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse({"error": type(err).__name__, "message": str(err), "remedy": err.remedy}, status)


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/runs", create_run, methods=["POST"]),
        Route("/runs/{name}", show_run, methods=["GET"]),
        Route("/runs/{name}", stop_run, methods=["DELETE"]),
    ],
    exception_handlers={HoldfastError: explain},
)
