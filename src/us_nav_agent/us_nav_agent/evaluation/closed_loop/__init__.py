"""Evaluation with the robot in the loop, beside the same starts on the grid alone.

- ``plan``: which runs, sampled from a seed
- ``measure``: one run with the robot; one subject on the grid alone
- ``run``: all of them, in processes; what is finished is kept
- ``result``: what was found, over the subjects; ``draw``: as pictures
"""
