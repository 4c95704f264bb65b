"""`python -m tests.unit.records.rival URL NAME COMMITS`: one of several that fight for a workload.

It says "ready" and waits for a line; then it claims the next epoch, saves while it may, and when it is fenced claims
again. In the end it prints how many commits it made and how often it was fenced.
"""

import sys

from holdfast.contracts.activities import ReportInput
from holdfast.records.errors import Fenced
from holdfast.records.store import Records
from tests.unit.records.makers import claim, commit, offer

SAVES_PER_EPOCH = 5


def one_epoch(records: Records, name: str) -> int:
    """Claim an epoch and save under it; returns how many saves were committed before the fence fell, if it did."""
    report = records.report_workload(ReportInput(workload="train"))
    assert report is not None
    epoch, saved = report.epoch + 1, 0
    try:
        head = records.claim_epoch(claim(epoch, of=offer(name))).head
        while saved < SAVES_PER_EPOCH:
            seen = head.sequence if head else None
            head = records.commit_checkpoint(commit((seen or 0) + 1, epoch, on=seen))
            saved += 1
    except Fenced:
        pass  # a rival was faster: what was saved until then counts
    return saved


def main(url: str, name: str, wanted: int) -> None:
    records, committed, fenced = Records.open(url), 0, 0
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    while committed < wanted:
        saved = one_epoch(records, name)
        committed += saved
        fenced += saved < SAVES_PER_EPOCH
    sys.stdout.write(f"{committed} {fenced}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
