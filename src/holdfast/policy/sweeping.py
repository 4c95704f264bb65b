"""Which machines that nobody owns are ended, and when.

Ending the wrong machine destroys somebody's work; leaving a stranger costs money. So a machine is ended only if the
records know that it was ours and is no longer wanted, and only if it was seen so at least twice, a grace apart, with
no listing in between that missed it.
"""

from datetime import datetime, timedelta

from holdfast.contracts.sweeping import Known, Ruling

_WHY = {
    Known.NOTHING: "the records know no such lease: another installation's, or records that were lost",
    Known.CLOSED: "its lease is closed",
    Known.OTHER: "its lease is for another machine",
    Known.ABANDONED: "no run of its workload is left",
}


def rule(known: Known, *, first_seen: datetime, asked_at: datetime, grace: timedelta) -> Ruling:
    """What is done about a stranger that every good listing since `first_seen` has shown.

    `asked_at`: when the newest look at it began. What it found is no older than that, however late it is judged.
    """
    if known is Known.NOTHING:
        return Ruling.REPORT
    return Ruling.END if asked_at > first_seen and asked_at - first_seen >= grace else Ruling.WAIT


def reason(known: Known) -> str:
    """Why nobody owns it, for people."""
    return _WHY[known]


def doubt(*, missing: int, still_known: int, unanswered: int) -> str:
    """Why a listing cannot be believed, "" if it can.

    Of the machines that we own and that it lacks, some were asked for one by one: `still_known` exist nevertheless,
    for `unanswered` the provider gave no answer.
    """
    if still_known:
        return f"the listing lacks {missing} of our machines, and the provider still knows them"
    if unanswered:
        return f"the listing lacks {missing} of our machines, and the provider does not say what became of them"
    return ""
