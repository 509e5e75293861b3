"""Evaluation of policies on grids of unseen subjects.

- ``metrics``: pure functions of runs, one value a subject; ``bootstrap``: what they are over subjects and seeds
- ``scripted``: baselines that look at no frame
- ``evaluate``: policies and subjects in, an ``EvaluationResult`` (``result``) out
- ``look``: what lies behind a result, a run decision by decision and state values; ``figures``, ``video``: drawn
- ``report``: a result as files
"""

from us_nav_agent.evaluation.evaluate import check_seeds, evaluate, evaluate_baseline, evaluate_seeds
from us_nav_agent.evaluation.result import EvaluationResult
from us_nav_agent.evaluation.scripted import BASELINES

__all__ = ["BASELINES", "EvaluationResult", "check_seeds", "evaluate", "evaluate_baseline", "evaluate_seeds"]
