"""A worker of the embedded stack: the ordinary one, once the records are set up and the servers answer.

Most of a worker's start is importing, so it is started together with the servers and does that meanwhile.
"""

import time
from datetime import timedelta

from holdfast.records import schema
from holdfast.settings import load_settings
from holdfast.workers import main as worker
from holdfast.workers.complaints import EXPECTED, complain
from holdfast.workers.stack.state import Home
from holdfast.workers.wiring import load_crews

GLANCE = timedelta(milliseconds=30)


def main(argv: list[str] | None = None) -> int:
    """Set up the records, wait for the servers, then work until SIGTERM. Arguments are the ordinary worker's."""
    try:
        settings = load_settings()
        schema.migrate(settings.records_location())
    except EXPECTED as err:
        return complain(err)
    load_crews(worker.roles_of(argv))
    wait_for_servers(Home(settings.data_dir))
    return worker.main(argv)


def wait_for_servers(home: Home) -> None:
    """Return when every server of the stack has been ready once; the supervisor notes it in `stack.json`."""
    while (state := home.read()) is None or not set(state.servers) <= set(state.ready):
        time.sleep(GLANCE.total_seconds())


if __name__ == "__main__":
    worker.end(main())
