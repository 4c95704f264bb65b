"""What the evidence on one machine comes to.

Whom to believe, strongest first:

1. the agent, when it answers: the machine lives, whatever the provider's books say;
2. the provider's word on this very machine, given just now: gone, taken, ended;
3. our own try to reach it: SSH answers without an agent;
4. silence, but only beyond the policy's patience and with proof that the fault is not on our side.

The best proof of our side is another machine that answers the worker that tried. That the provider's API answers proves
only some network of ours, so it counts as long as nothing speaks against that worker: no other machine is missed with
this one, and its key is known to be good.

A provider that does not answer has said nothing: its last word is not used. `UNKNOWN` is never a reason to act.
"""

import re
from datetime import timedelta

from holdfast.contracts.incidents import Cause, Evidence, Judgement, Reach, Verdict
from holdfast.contracts.machines import InstanceState, Terms

_TAKEN = (InstanceState.INTERRUPTED, InstanceState.STOPPED, InstanceState.WAITING)
_STOPS_WHEN_ASKED = (*_TAKEN, InstanceState.STOPPING, InstanceState.EXITED)
_CONTRACT_WORDS = re.compile(r"contract|expired|rental (period|end)", re.IGNORECASE)


def judge(evidence: Evidence, *, silence: timedelta, terms: Terms) -> Judgement:
    """Weigh `evidence` against a policy that tolerates `silence` on a machine rented at `terms`. Never raises.

    A machine that we asked to stop is expected to be stopped and silent: that is `UNKNOWN`, nothing to act on, unless
    the provider says that it is gone for good. A provider's word that says nothing of the machine's end (a running
    machine, an unknown state) leaves the decision to our own reach.
    """
    if evidence.reach is Reach.ANSWERS:
        return Judgement(verdict=Verdict.ALIVE, reason="the agent on the machine answers")
    return (
        _by_provider(evidence, terms)
        or _by_request(evidence)
        or _by_shutdown(evidence, terms)
        or _by_reach(evidence, silence)
        or _by_silence(evidence, silence)
    )


def _by_provider(evidence: Evidence, terms: Terms) -> Judgement | None:
    """The provider's word, when it settles the matter by itself."""
    state = evidence.state if evidence.provider_answers else InstanceState.UNKNOWN
    if state is InstanceState.GONE:
        return _lost(Cause.GONE, "the provider no longer knows the machine", evidence)
    if state is InstanceState.FAILED:
        return _lost(Cause.EXITED, "the provider says that the machine can never run", evidence)
    if evidence.stop_requested:
        return None
    if state is InstanceState.EXITED:
        return _lost(Cause.EXITED, "the provider says that the container ended", evidence)
    if state in _TAKEN:
        return _lost(*_why_taken(evidence, terms), evidence)
    return None


def _why_taken(evidence: Evidence, terms: Terms) -> tuple[Cause, str]:
    said = f"the provider says {evidence.state.value}, and we did not ask for that"
    if _CONTRACT_WORDS.search(evidence.state_detail):
        return Cause.CONTRACT_ENDED, f"{said}: the contract is over"
    if terms is Terms.INTERRUPTIBLE:
        return Cause.OUTBID, f"{said}: an interruptible machine was taken back"
    return Cause.EXITED, said


def _by_request(evidence: Evidence) -> Judgement | None:
    """We asked for the stop: a stopped, or stopping, or silent machine proves nothing."""
    if not evidence.stop_requested:
        return None
    stopped = evidence.provider_answers and evidence.state in _STOPS_WHEN_ASKED
    so_far = f"the provider says {evidence.state.value}" if stopped else "its silence is expected"
    return Judgement(verdict=Verdict.UNKNOWN, reason=f"we asked the provider to stop the machine; {so_far}")


def _by_shutdown(evidence: Evidence, terms: Terms) -> Judgement | None:
    """A machine that is being taken back shuts down in order: SSH may answer longer than anything else."""
    stopping = evidence.provider_answers and evidence.state is InstanceState.STOPPING
    if not stopping or evidence.reach is not Reach.NO_AGENT or terms is not Terms.INTERRUPTIBLE:
        return None
    why = "the provider says stopping, and we did not ask for that: an interruptible machine is being taken back"
    return _lost(Cause.OUTBID, why, evidence)


def _by_reach(evidence: Evidence, silence: timedelta) -> Judgement | None:
    """What our own try says, alone or against a provider that has lost sight of the machine."""
    if evidence.reach is Reach.NO_AGENT:
        why = "SSH answers and the agent does not: the machine was restarted, or its processes were killed"
        return Judgement(verdict=Verdict.STALLED, cause=Cause.REBOOTED, reason=why)
    if not (evidence.provider_answers and evidence.state is InstanceState.OFFLINE):
        return None
    if evidence.reach is Reach.NOT_TRIED:
        why = "the provider has lost sight of the machine; we have not tried to reach it ourselves"
        return Judgement(verdict=Verdict.SUSPECT, reason=why)
    if evidence.silent_for < silence:  # providers lose sight of healthy machines, and one try may fail
        why = f"the provider has lost sight of the machine, which is {_patience(evidence, silence)}"
        return Judgement(verdict=Verdict.SUSPECT, reason=why)
    return _lost(Cause.HOST_OFFLINE, "the provider has lost sight of the machine, and it does not answer us", evidence)


def _by_silence(evidence: Evidence, silence: timedelta) -> Judgement:
    """The last resort: how long, how well tried, and could the fault be ours?"""
    quiet = f"silent for {_seconds(evidence.silent_for)}"
    if evidence.reach is Reach.NOT_TRIED:
        if evidence.silent_for <= timedelta():
            return Judgement(verdict=Verdict.UNKNOWN, reason="nothing says that anything is wrong")
        return Judgement(verdict=Verdict.SUSPECT, reason=f"{quiet}, and we have not tried to reach it")
    if doubt := _doubt_of_ourselves(evidence):
        return Judgement(verdict=Verdict.UNKNOWN, reason=f"{quiet}, and {doubt}")
    if evidence.silent_for < silence:
        return Judgement(verdict=Verdict.SUSPECT, reason=_patience(evidence, silence))
    proof = "another machine of ours answers" if evidence.we_are_online else "the provider answers us"
    if evidence.reach is Reach.REFUSES:
        why = f"{quiet}: the network answers and refuses our login, while {proof}"
        return Judgement(verdict=Verdict.LOST, cause=Cause.REFUSED, reason=why)
    why = f"{quiet}, longer than the policy's {_seconds(silence)}, while {proof}"
    return Judgement(verdict=Verdict.LOST, cause=Cause.SILENT, reason=why)


def _doubt_of_ourselves(evidence: Evidence) -> str | None:
    """Why the fault may be ours; None when something proves that it is not."""
    if evidence.we_are_online:
        return None
    if evidence.own_side_doubtful and evidence.reach is Reach.REFUSES:
        return "nothing shows that the key of the worker that tried is the right one: the fault may be ours"
    if evidence.own_side_doubtful:
        return "no other machine of ours answers the worker that tried: the fault may be its network"
    return None if evidence.provider_answers else "nothing else answers us either: the fault may be our own network"


def _patience(evidence: Evidence, silence: timedelta) -> str:
    return f"silent for {_seconds(evidence.silent_for)}; the policy waits for {_seconds(silence)}"


def _lost(cause: Cause, why: str, evidence: Evidence) -> Judgement:
    words = f" (in its words: {evidence.state_detail})" if evidence.state_detail else ""
    return Judgement(verdict=Verdict.LOST, cause=cause, reason=why + words)


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"
