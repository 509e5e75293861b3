"""How well a policy bears what was not so in training: one condition varied at a time, each a curve.

- ``conditions``: what is varied and how, pure: a level of a curve changes how a subject is scanned
- ``scan``: a virtual subject of a data set, rendered as a condition says, one frame a bin
- ``measure``: a policy on those frames, and on a frame grabber that hands on old ones
- ``run``: all levels on all subjects, finished ones kept
- ``result``: the curves as JSON and tables; ``draw``: as a picture
"""
