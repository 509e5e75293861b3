"""Evaluation of a policy on recorded bags, offline: the same bag, model and seed give the same JSON byte for byte.

- ``recording``: a bag as what was decided, where the probe was, what it felt and what the bridge said
- ``rerun``: a policy on the frames of the recorded decisions
- ``measures``: pure functions of both; ``result``: what came out, as JSON; ``evaluate``: all of it in one call
- ``pictures`` and ``page``: a report as one self-contained HTML file; ``folder``: many bags, with intervals
"""

from us_nav_agent.evaluation.bags.evaluate import evaluate_bag
from us_nav_agent.evaluation.bags.folder import FolderResult, bag_name, evaluate_folder, find_bags
from us_nav_agent.evaluation.bags.result import BagResult

__all__ = ["BagResult", "FolderResult", "bag_name", "evaluate_bag", "evaluate_folder", "find_bags"]
