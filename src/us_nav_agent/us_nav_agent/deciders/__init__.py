"""Networks and the rule by which they decide: one class an architecture."""

from us_nav_agent.deciders.base import Decider, Decision
from us_nav_agent.deciders.belief import BeliefDecider
from us_nav_agent.deciders.classifier import ClassifierDecider
from us_nav_agent.deciders.dqn import DqnDecider, MsDqnDecider

__all__ = ["DECIDERS", "BeliefDecider", "ClassifierDecider", "Decider", "Decision", "DqnDecider", "MsDqnDecider"]

DECIDERS: dict[str, type[Decider]] = {
    one.kind: one for one in (BeliefDecider, MsDqnDecider, DqnDecider, ClassifierDecider)
}
"""The architectures by what a model file calls them."""
