"""The record of a virtual subject: every number that makes one lower back differ from another.

A subject is sampled once into a record and built from it by pure functions, so that any frame can be made again
from the JSON beside the data. Lengths in metres, angles in radians.
"""

import dataclasses
import json
from dataclasses import dataclass

import numpy as np

from us_grid_sim.errors import UsGridSimError


@dataclass(frozen=True)
class SubjectRecord:
    """One virtual lower back and how its scanner was set.

    Attributes:
        seed, index: what the record was sampled from.
        shift_x, shift_y: where the lumbosacral junction lies against its mean place in the patient frame [m].
        rotation: turn of the spine about the beam axis [rad].
        curve: amplitude of a lateral curve of the lumbar spine, positive to the right [m].
        size: scale of all bone dimensions against the mean adult.
        fat: thickness of the subcutaneous fat over the spinous processes [m].
        fat_lateral: further fat per metre away from the midline, and over the sacrum [m/m].
        muscle: scale of the depth of the paraspinal muscles.
        asymmetry: relative difference of the right side's muscle against the left.
        ilium_tilt: the right iliac crest lies this much further cranial than the left [m].
        sacral_slope: how much deeper the cranial end of the sacrum lies than the caudal, per metre of its length.
        half_width: half the width of the torso [m].
        flatness: ratio of the sagittal to the lateral half axis of the back's ellipse.
        gain: receive gain against the mean [dB].
        attenuation: attenuation left over after time-gain compensation [dB/m].
        echo_fat, echo_muscle: backscatter of fat and muscle [dB against the mean level of each].
        bone_echo: strength of bone surfaces [dB against the mean].
        blur: scale of the point spread's width (low-resolution acquisitions are above 1).
        speckle_seed: seed of the scatterers.
    """

    seed: int
    index: int
    shift_x: float
    shift_y: float
    rotation: float
    curve: float
    size: float
    fat: float
    fat_lateral: float
    muscle: float
    asymmetry: float
    ilium_tilt: float
    sacral_slope: float
    half_width: float
    flatness: float
    gain: float
    attenuation: float
    echo_fat: float
    echo_muscle: float
    bone_echo: float
    blur: float
    speckle_seed: int

    def to_json(self) -> str:
        """The record as a JSON object, keys in the order of the attributes."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "SubjectRecord":
        """The record that ``text`` holds.

        Raises:
            UsGridSimError: it is no JSON object with exactly the attributes of a record.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            values = json.loads(text)
        except ValueError as error:
            raise UsGridSimError(f"a subject record is not JSON ({error}); expected an object") from None
        if not isinstance(values, dict) or set(values) != names:
            given = sorted(values) if isinstance(values, dict) else type(values).__name__
            raise UsGridSimError(f"a subject record has {given}; expected exactly {sorted(names)}")
        return cls(**values)


def sample_subject(seed: int, index: int = 0) -> SubjectRecord:
    """Sample subject ``index`` of the cohort ``seed``.

    The spread is that of adults: body dimensions vary by about 6 % (Panjabi et al. 1992, Spine 17:299, lumbar
    vertebrae), lumbar subcutaneous fat from a few millimetres to about 25 mm, torso width 0.28 to 0.37 m. The shift and
    turn against the grid are those of volunteers placed by eye: about half a bin, and some degrees.
    """
    rng = np.random.default_rng([seed, index])

    def normal(mean: float, deviation: float, limit: float = 2.0) -> float:
        """A normal variate, held within ``limit`` deviations so that every back stays one."""
        return float(mean + deviation * np.clip(rng.standard_normal(), -limit, limit))

    return SubjectRecord(
        seed=seed,
        index=index,
        shift_x=normal(0.0, 0.010),
        shift_y=normal(0.0, 0.009),
        rotation=normal(0.0, np.deg2rad(3.0)),
        curve=normal(0.0, 0.003),
        size=normal(1.0, 0.06),
        fat=float(np.clip(0.009 * np.exp(0.4 * rng.standard_normal()), 0.004, 0.022)),
        fat_lateral=normal(0.06, 0.03),
        muscle=normal(1.0, 0.10),
        asymmetry=normal(0.0, 0.05),
        ilium_tilt=normal(0.0, 0.004),
        sacral_slope=normal(0.18, 0.04),
        half_width=normal(0.162, 0.010),
        flatness=normal(0.55, 0.06),
        gain=normal(0.0, 3.0),
        attenuation=normal(260.0, 60.0),
        echo_fat=normal(0.0, 2.0),
        echo_muscle=normal(0.0, 2.0),
        bone_echo=normal(0.0, 2.0),
        blur=float(np.clip(np.exp(0.25 * rng.standard_normal()), 0.7, 1.8)),
        speckle_seed=int(rng.integers(2**31)),
    )
