"""Grids of frames on disk, both ways, and loaded for training.

- ``layout``: the published data set's layout: subjects, frames, splits, and the writer
- ``patient_file``, ``sweep_data``: its two text formats
- ``grid``: the frames of a subject as a network sees them, cached
- ``synth``: synthetic data sets
- ``metaimage``, ``sweep_settings``, ``from_sweep``: subjects from tracked sweeps
- ``check``: every fault of a data set
"""
