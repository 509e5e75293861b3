"""Evaluation of policies on grids of unseen subjects.

- ``metrics``: policy correctness, reachability and their intervals, pure
- ``evaluate``: a policy and subjects in, an ``EvaluationResult`` out
"""

from us_nav_agent.evaluation.evaluate import EvaluationResult, SubjectResult, evaluate

__all__ = ["EvaluationResult", "SubjectResult", "evaluate"]
