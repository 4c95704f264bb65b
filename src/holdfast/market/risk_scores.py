"""How good stated chances are, against what came."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, spearmanr

_BINS = 10


@dataclass(frozen=True, kw_only=True)
class Score:
    """Of stated chances; `brier_skill` and `calibration` mean nothing of fewer than a handful."""

    cases: int
    base_rate: float  # how often it came
    brier: float
    brier_skill: (
        float  # 1 minus the Brier score over that of always stating `base_rate`; 0 where it came always or never
    )
    auc: float  # the chance that of two cases the one that came was given more; 0.5 where all came or none
    calibration: float  # between stated and come, the mean over ten equal bins of chance, weighted by cases


def score(stated: Sequence[float], came: Sequence[bool]) -> Score:
    """Score chances.

    Raises:
        ValueError: there are none, or not as many of both.
    """
    if not stated or len(stated) != len(came):
        raise ValueError(f"{len(stated)} chances for {len(came)} outcomes")
    chance, outcome = np.asarray(stated, dtype=np.float64), np.asarray(came, dtype=np.float64)
    base = float(outcome.mean())
    brier = float(((chance - outcome) ** 2).mean())
    spread = base * (1 - base)
    return Score(
        cases=len(stated),
        base_rate=base,
        brier=brier,
        brier_skill=1 - brier / spread if spread > 0 else 0.0,
        auc=_auc(chance, outcome),
        calibration=_calibration(chance, outcome),
    )


def rank_correlation(stated: Sequence[float], came: Sequence[float]) -> float:
    """Spearman's; 0 where one side is all the same."""
    found = float(spearmanr(stated, came).statistic) if len(set(stated)) > 1 and len(set(came)) > 1 else 0.0
    return found if math.isfinite(found) else 0.0


def _auc(chance: np.ndarray, outcome: np.ndarray) -> float:
    yes = float(outcome.sum())
    no = len(outcome) - yes
    if not yes or not no:
        return 0.5
    return (float(rankdata(chance)[outcome == 1].sum()) - yes * (yes + 1) / 2) / (yes * no)


def _calibration(chance: np.ndarray, outcome: np.ndarray) -> float:
    bins = np.minimum((chance * _BINS).astype(int), _BINS - 1)
    gaps = [abs(chance[bins == each].sum() - outcome[bins == each].sum()) for each in range(_BINS)]
    return float(sum(gaps)) / len(outcome)
