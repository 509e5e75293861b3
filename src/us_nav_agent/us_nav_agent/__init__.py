"""Navigation agents: networks, training, evaluation, policy, bags and the command line."""
