"""Training: an experiment file and a data set in, a run folder with a model out."""

from us_nav_agent.training.experiment import Experiment, load_experiment
from us_nav_agent.training.run_folder import TrainProgress
from us_nav_agent.training.train import train

__all__ = ["Experiment", "TrainProgress", "load_experiment", "train"]
