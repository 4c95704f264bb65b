"""Base and tuned model are asked the same, of the very server that is to have the traffic: does it answer as tuned?

They are asked in OpenAI's words, which servers of language models speak. Answers are the likeliest ones, and cut short:
they are for people, and stand in a history.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from holdfast.contracts.deployments import Compared, Probe, ProbeSet, SmokeRequest, SmokeVerdict
from holdfast.contracts.fine_tuning import Answer as Trained
from holdfast.contracts.hearsay import words
from holdfast.contracts.models import ModelVersion
from holdfast.contracts.training import DataFormat, Lineage
from holdfast.policy.smoke import Answer, judged

MOST_PROBES: Final = 10
SHOWN: Final = 200
"""Characters of an answer."""
_CHAT, _PLAIN = "/v1/chat/completions", "/v1/completions"


class NoAnswer(Exception):
    """The server gave none. The message is fit for people."""


def probes_of(model: ModelVersion, *, served: str, base: str) -> ProbeSet | None:
    """What the two are to be asked: what the trainer asked. None where that was nothing."""
    lineage = model.lineage
    if lineage is None or not lineage.parameters.samples.prompts:
        return None
    return probe_set(lineage, served=served, base=base)


def probe_set(lineage: Lineage, *, served: str, base: str) -> ProbeSet:
    samples = lineage.parameters.samples
    return ProbeSet(
        model=served,
        base=base,
        is_chat=lineage.data.format is DataFormat.MESSAGES,
        tokens=samples.tokens,
        probes=tuple(Probe(prompt=each) for each in samples.prompts[:MOST_PROBES]),
    )


def knowing(smoke: SmokeRequest, answers: Sequence[Trained]) -> SmokeRequest:
    """The same with what the trainer heard, so that it is known on which probes the two must differ."""
    comparison = smoke.comparison
    if comparison is None:
        return smoke
    heard = {each.prompt: each for each in answers}
    probes = tuple(_known(each, heard.get(words(each.prompt))) for each in comparison.probes)
    return replace(smoke, comparison=replace(comparison, probes=probes))


def _known(probe: Probe, heard: Trained | None) -> Probe:
    return Probe(prompt=probe.prompt, base=heard.base, tuned=heard.tuned) if heard else probe


def question(comparison: ProbeSet, prompt: str, *, model: str, within: timedelta) -> SmokeRequest:
    """One prompt for one of the two."""
    said: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
    body = {"model": model, **(said if comparison.is_chat else {"prompt": prompt})}
    place = ("choices", "0", "message", "content") if comparison.is_chat else ("choices", "0", "text")
    return SmokeRequest(
        method="POST",
        path=_CHAT if comparison.is_chat else _PLAIN,
        body=json.dumps(body | {"max_tokens": comparison.tokens, "temperature": 0}),
        answer=place,
        may_be_empty=True,
        within=within,
    )


def text_of(request: SmokeRequest, answer: Answer) -> str:
    """What it said. Raises NoAnswer."""
    verdict = judged(request, answer)
    if not verdict.passed:
        raise NoAnswer(verdict.said)
    found: Any = json.loads(answer.body)
    for part in request.answer:
        found = found[int(part)] if isinstance(found, list) else found[part]
    return str(found)


def told(probe: Probe, *, base: str, tuned: str) -> Compared:
    """As it is kept."""
    return Compared(
        prompt=words(probe.prompt, SHOWN),
        base=words(base, SHOWN),
        tuned=words(tuned, SHOWN),
        trained=words(probe.tuned, SHOWN),
        differs=base != tuned,
    )


def compared(before: SmokeVerdict, probes: Sequence[Probe], heard: Sequence[Compared], took: timedelta) -> SmokeVerdict:
    """Unfit is what answers as the base does wherever the tuned model is known to answer otherwise."""
    otherwise = [each for each in probes if each.base != each.tuned]
    differing = sum(each.differs for each in heard)
    if otherwise and not any(each.differs for probe, each in zip(probes, heard, strict=True) if probe in otherwise):
        why = f"it answers {len(heard)} probes as the base does: what was learned is not served"
        return SmokeVerdict(passed=False, said=why, took=before.took + took, compared=tuple(heard))
    said = f"{before.said}; of {len(heard)} probes {differing} are answered otherwise than by the base"
    return SmokeVerdict(passed=True, said=said, took=before.took + took, compared=tuple(heard))
