"""The record of a virtual subject: every number that makes one lower back differ from another.

A subject is sampled once into a record and built from it by pure functions, so that any frame can be made again
from the JSON beside the data. Lengths in metres, angles in radians. Factors are against the mean adult.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from us_grid_sim.errors import UsGridSimError

LEVELS = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
"""The vertebrae of a record, cranial to caudal; tuples of a record have one entry each."""
_MEAN_INDEX = 24.5
"""Median body mass index of the adults that are sampled [kg/m^2]."""
_FAT_PER_INDEX = 0.0011
"""How much the median thickness of skin and fat grows with the body mass index [m per kg/m^2]."""
_BREADTH_PER_INDEX = 0.003
"""How much half the torso's width grows with the body mass index [m per kg/m^2]."""


@dataclass(frozen=True)
class SubjectRecord:
    """One virtual lower back and how its scanner was set.

    Attributes:
        seed, index: what the record was sampled from.
        shift_x, shift_y: where the lumbosacral junction lies against its mean place in the patient frame [m].
        rotation: turn of the spine about the beam axis [rad].
        size: scale of all bone dimensions.
        body_mass_index: [kg/m^2].
        lordosis: angle between the upper end plates of L1 and S1 [rad].
        sacral_slope: slope of the sacral end plate against the vertical, lying prone [rad].
        sacral_kyphosis: turn of the dorsal surface from S1 to S5 [rad].
        disc: scale of the disc heights.
        curve: amplitude of a lateral curve of the lumbar spine, positive to the right [m].
        axial_rotation: of the apical vertebra, that goes with the curve [rad].
        vertebra_scale: (7,) scale of each vertebra against the others.
        spinous_deviation: (7,) how far each spinous process leans to the right [m].
        spinous_length: (7,) scale of each spinous process.
        transverse_left, transverse_right: (7,) scale of each transverse process.
        sacrum_width, sacrum_length: scales of the sacrum.
        crest_height: height of the median sacral crest at S2 [m].
        foramen: scale of the width of the dorsal foramina.
        tubercles: (4,) scale of the tubercles S1 to S4 of the median crest, against the crest between them.
        sacralised_left, sacralised_right: how far a transverse process of L5 has become part of the sacrum: 0 normal,
            0.5 at least 19 mm high (Castellvi I), 1 a wing that reaches the sacral ala (Castellvi II to IV).
        open_arch: width of the cleft in an open posterior arch of S1 (spina bifida occulta), 0 where it is closed [m].
        hiatus: where the sacral hiatus begins, as a part of the sacrum's length.
        psis_half_distance: of the posterior superior iliac spines from the midline [m].
        ilium_flare: slope of the gluteal surface of the ilium below its crest, against the parallel plane [rad].
        crest_level: highest point of the iliac crests above the lumbosacral junction [m].
        ilium_tilt: the right iliac bone lies this much further cranial than the left [m].
        fat: thickness of skin and subcutaneous fat beside the spine at L3 [m].
        fat_lateral: what that grows to at the flank, as a factor.
        fat_sacral: what that is over the sacrum, as a factor.
        gluteal_bulge: how far the buttocks stand out beside the lower sacrum [m].
        muscle: scale of the paraspinal muscles.
        asymmetry: relative difference of the right side's muscle against the left.
        infiltration: share of fat in the multifidus, 0 to 0.5.
        groove: depth of the furrow along the lumbar spine [m].
        half_width: half the width of the torso [m].
        flatness: ratio of the sagittal to the lateral half axis of the back's ellipse.
        flank: scale of the thickness of the muscles of the flank.
        unevenness: how lumpy fat and muscles are: relative deviation of a layer's thickness from place to place.
        uneven_seed: seed of where they are thicker and thinner.
        pennation: scale of the angles of the muscles' fibres against the spine.
        fascicle: scale of the fascicles of muscle and the lobules of fat.
        roll: how far the torso lies turned about the spine, to the right positive [rad].
        following: share of the skin's lateral slope that the compliant probe follows.
        stiffness: scale of the soft tissue's stiffness.
        attenuation: scale of the soft tissues' attenuation.
        echo_fat, echo_muscle: backscatter of fat and muscle [dB against the mean of each].
        septa: strength of the fat's septa and the muscle's perimysium, as a factor.
        gain: receive gain against the mean [dB].
        haze: level of the clutter from reverberation in fat and fascia [dB against the mean].
        blur: scale of the point spread (aberration by fat; low-resolution acquisitions).
        contact: how well the probe was held, 1 good: scales force and tilt errors of its sweeps.
        speckle_seed: seed of the scatterers.
    """

    seed: int
    index: int
    shift_x: float
    shift_y: float
    rotation: float
    size: float
    body_mass_index: float
    lordosis: float
    sacral_slope: float
    sacral_kyphosis: float
    disc: float
    curve: float
    axial_rotation: float
    vertebra_scale: tuple[float, ...]
    spinous_deviation: tuple[float, ...]
    spinous_length: tuple[float, ...]
    transverse_left: tuple[float, ...]
    transverse_right: tuple[float, ...]
    sacrum_width: float
    sacrum_length: float
    crest_height: float
    foramen: float
    tubercles: tuple[float, ...]
    sacralised_left: float
    sacralised_right: float
    open_arch: float
    hiatus: float
    psis_half_distance: float
    ilium_flare: float
    crest_level: float
    ilium_tilt: float
    fat: float
    fat_lateral: float
    fat_sacral: float
    gluteal_bulge: float
    muscle: float
    asymmetry: float
    infiltration: float
    groove: float
    half_width: float
    flatness: float
    flank: float
    unevenness: float
    uneven_seed: int
    pennation: float
    fascicle: float
    roll: float
    following: float
    stiffness: float
    attenuation: float
    echo_fat: float
    echo_muscle: float
    septa: float
    gain: float
    haze: float
    blur: float
    contact: float
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
        return cls(**{name: _as_field(value) for name, value in values.items()})


def _as_field(value: Any) -> Any:
    """JSON knows lists, a record has tuples."""
    return tuple(value) if isinstance(value, list) else value


class _Variates:
    """Normal variates of one generator, held within two deviations so that every back stays one."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def normal(self, mean: float, deviation: float) -> float:
        return float(mean + deviation * np.clip(self._rng.standard_normal(), -2.0, 2.0))

    def positive(self, median: float, spread: float) -> float:
        """Log-normal: ``spread`` is the deviation of the logarithm."""
        return float(median * np.exp(self.normal(0.0, spread)))

    def happens(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def seed(self) -> int:
        return int(self._rng.integers(2**31))

    def levels(self, mean: float, deviation: float) -> tuple[float, ...]:
        return tuple(self.normal(mean, deviation) for _ in LEVELS)


def sample_subject(seed: int, index: int = 0) -> SubjectRecord:
    """Sample subject ``index`` of the cohort ``seed``: adults, both sexes.

    Sources of the spreads: :func:`_skeleton`, :func:`_variants` and :func:`_soft_tissue`; the last group is the
    scanner's. Clutter was -30 to 0 dB in five volunteers (Lediju et al. 2008, Ultrason Imaging 30:151).
    """
    rng = np.random.default_rng([seed, index])
    draw = _Variates(rng)
    return SubjectRecord(
        seed=seed,
        index=index,
        # Volunteers are placed by eye: about half a bin, and some degrees.
        shift_x=draw.normal(0.0, 0.010),
        shift_y=draw.normal(0.0, 0.009),
        rotation=draw.normal(0.0, np.deg2rad(3.0)),
        **_skeleton(draw),  # type: ignore[arg-type]
        # From a generator of their own: all other numbers of a subject stay what they are without the variants.
        **_variants(_Variates(np.random.default_rng([seed, index, 1]))),  # type: ignore[arg-type]
        **_soft_tissue(draw),  # type: ignore[arg-type]
        gain=draw.normal(0.0, 3.0),
        haze=draw.normal(0.0, 7.0),
        blur=draw.positive(1.0, 0.2),
        contact=float(rng.beta(4.0, 1.5)),
        speckle_seed=int(rng.integers(2**31)),
    )


def _skeleton(draw: _Variates) -> dict[str, float | tuple[float, ...]]:
    """Bones.

    Size, 6 %: Panjabi et al. 1992, Spine 17:299. Lordosis L1 to S1: 60 (10) degrees standing (Been & Kalichman 2014,
    Spine J 14:87), about 15 degrees less lying. Sacral slope 40 (8) degrees standing (Legaye et al. 1998, Eur Spine
    J 7:99), less prone with the pelvis supported; the two go together (r = 0.86, Vialle et al. 2005, J Bone Joint Surg
    Am 87:260), or the back would not lie level. Lateral curves under 10 degrees of Cobb are normal: 5 mm over 0.18 m
    is about 10 degrees. Spinous processes lean by some millimetres (Van Schaik et al. 1989, Spine 14:1230). Sacrum
    106.7 (10.2) mm high and 103.6 (6.8) mm wide; first dorsal foramen 8.5 (1.6) mm wide (Kim et al. 2023, Korean J
    Pain 36:98). Posterior superior iliac spines 80 to 100 mm apart, iliac crests at L4 to L5 (Gray's Anatomy, 41st
    ed., ch. 78; Chakraverty et al. 2007, J Anat 210:232).
    """
    curve = draw.normal(0.0, 0.004)
    sacral_slope = draw.normal(np.deg2rad(32.0), np.deg2rad(6.0))
    expected = 0.86 * (10.0 / 6.0) * (sacral_slope - np.deg2rad(32.0))
    return {
        "size": draw.normal(1.0, 0.06),
        "lordosis": draw.normal(np.deg2rad(45.0) + expected, np.deg2rad(5.0)),
        "sacral_slope": sacral_slope,
        "sacral_kyphosis": draw.normal(np.deg2rad(42.0), np.deg2rad(8.0)),
        "disc": draw.normal(1.0, 0.12),
        "curve": curve,
        "axial_rotation": curve / 0.004 * np.deg2rad(2.5) + draw.normal(0.0, np.deg2rad(1.5)),
        "vertebra_scale": draw.levels(1.0, 0.03),
        "spinous_deviation": draw.levels(0.0, 0.002),
        "spinous_length": draw.levels(1.0, 0.10),
        "transverse_left": draw.levels(1.0, 0.07),
        "transverse_right": draw.levels(1.0, 0.07),
        "sacrum_width": draw.normal(1.0, 0.065),
        "sacrum_length": draw.normal(1.0, 0.09),
        "crest_height": draw.normal(0.008, 0.002),
        "foramen": draw.normal(1.0, 0.19),
        "psis_half_distance": draw.normal(0.045, 0.004),
        "ilium_flare": draw.normal(np.deg2rad(27.0), np.deg2rad(5.0)),
        "crest_level": draw.normal(0.045, 0.010),
        "ilium_tilt": draw.normal(0.0, 0.004),
    }


def _variants(draw: _Variates) -> dict[str, float | tuple[float, ...]]:
    """Variants of the lumbosacral junction.

    Transitional vertebrae: 12 % of people, 4 to 30 % between studies (Konin & Walz 2010, AJNR 31:1778), 18 % in Nardo
    et al. 2012, Radiology 265:497; we make all of them sacralised fifth lumbar vertebrae. 42 % are of Castellvi's type
    I, 41 % II, the rest III and IV (Nardo et al. 2012); from II on the grade is about 1: how the wing and the ala are
    joined is not told apart. That half of them have it on both sides is assumed. Open arch of S1: 12.4 % (Eubanks &
    Cheruvu 2009, Spine 34:1539), some 3 to 10 mm wide (assumed). Apex of the hiatus: at S4 in two thirds, at S3 in 15
    to 20 %, at S5 in 10 to 15 % (Sekiguchi et al. 2004, Clin Anat 17:51), as one normal variate along the sacrum, on
    which S4 reaches from 0.70 to 0.86. The tubercles of the crest are irregular; by how much is assumed.
    """
    # All are drawn for everybody, so that no variant changes what is drawn for another.
    transitional, both, right = draw.happens(0.12), draw.happens(0.5), draw.happens(0.5)
    grade = draw.normal(0.55, 0.05) if draw.happens(0.42) else draw.normal(0.95, 0.025)
    opened, width = draw.happens(0.124), draw.normal(0.0065, 0.00175)
    return {
        "sacralised_left": grade if transitional and (both or not right) else 0.0,
        "sacralised_right": grade if transitional and (both or right) else 0.0,
        "open_arch": width if opened else 0.0,
        "hiatus": draw.normal(0.77, 0.073),
        "tubercles": tuple(draw.normal(1.0, 0.3) for _ in range(4)),
    }


def _soft_tissue(draw: _Variates) -> dict[str, float | int]:
    """Soft tissue.

    Body mass index 24.5, log-deviation 0.14. Lumbar subcutaneous fat grows with it, from a few millimetres when lean to
    30 mm and more (Kim et al. 2016, Medicine 95:e3061: skin to fascia); skin 2 mm of it. Paraspinal muscle area varies
    by 15 to 20 % between people and by up to 10 % between sides (Stokes et al. 2005, Man Ther 10:116); fat takes up to
    half of an adult's lower multifidus (Kjaer et al. 2007, BMC Med 5:2). Torso breadth: 0.28 to 0.37 m (Gordon et al.
    2014, ANSUR II). Attenuation of one tissue varies by about 15 % (Duck 1990, ch. 4). The muscles of the flank vary by
    20 to 25 % (Rankin et al. 2006, Muscle Nerve 34:320), the fibres of the multifidus between 15 and 20 degrees
    (Macintosh & Bogduk 1986, Clin Biomech 1:205), fascicles between 1 and 3 mm (Gray's Anatomy, ch. 5). Unevenness:
    :mod:`us_grid_sim.phantom.unevenness`. A trunk turned by up to 5 degrees is normal (Bunnell 1984, J Bone Joint Surg
    Am 66:1381). How the probe follows the skin is the robot's compliance: assumed.
    """
    body_mass_index = draw.positive(_MEAN_INDEX, 0.14)
    return {
        "body_mass_index": body_mass_index,
        "fat": float(np.clip(_usual_fat(body_mass_index) * draw.positive(1.0, 0.3), 0.004, 0.030)),
        "fat_lateral": draw.normal(1.6, 0.25),
        "fat_sacral": draw.normal(1.1, 0.25),
        "gluteal_bulge": draw.normal(0.015, 0.005),
        "muscle": draw.normal(1.0, 0.10),
        "asymmetry": draw.normal(0.0, 0.05),
        "infiltration": float(np.clip(draw.normal(0.15, 0.12), 0.0, 0.5)),
        "groove": draw.normal(0.005, 0.002),
        "half_width": draw.normal(0.162 + _BREADTH_PER_INDEX * (body_mass_index - _MEAN_INDEX), 0.008),
        "flatness": draw.normal(0.55, 0.06),
        "flank": draw.normal(1.0, 0.20),
        "unevenness": draw.normal(0.12, 0.03),
        "uneven_seed": draw.seed(),
        "pennation": draw.normal(1.0, 0.15),
        "fascicle": draw.positive(1.0, 0.25),
        "roll": draw.normal(0.0, np.deg2rad(2.5)),
        "following": draw.normal(0.75, 0.12),
        "stiffness": draw.positive(1.0, 0.2),
        "attenuation": draw.normal(1.0, 0.15),
        "echo_fat": draw.normal(0.0, 2.0),
        "echo_muscle": draw.normal(0.0, 2.0),
        "septa": draw.normal(1.0, 0.25),
    }


def _usual_fat(body_mass_index: float) -> float:
    """Median thickness of skin and fat at an index [m]."""
    return 0.009 + _FAT_PER_INDEX * (body_mass_index - _MEAN_INDEX)


def in_body_of(record: SubjectRecord, donor: SubjectRecord) -> SubjectRecord:
    """The bones of ``record`` in all that ``donor`` has around them: soft tissue, place on the table, scanner, hand."""
    bones = _skeleton(_Variates(np.random.default_rng(0))) | _variants(_Variates(np.random.default_rng(0)))
    return dataclasses.replace(donor, **{name: getattr(record, name) for name in bones})


def with_fat(record: SubjectRecord, fat: float) -> SubjectRecord:
    """The same subject with skin and fat of another thickness [m].

    The body mass index, and with it the breadth, goes half of the way: the other half is what people of one index
    differ by.
    """
    by = (fat - record.fat) / (2 * _FAT_PER_INDEX)
    return dataclasses.replace(
        record,
        fat=fat,
        body_mass_index=record.body_mass_index + by,
        half_width=record.half_width + _BREADTH_PER_INDEX * by,
    )


def heavier(record: SubjectRecord, by: float) -> SubjectRecord:
    """The same subject with a body mass index higher by ``by`` [kg/m^2].

    What is sampled from the index (:func:`_soft_tissue`) follows it: the fat in proportion to the median at the index,
    so who has much for their weight keeps that, and the breadth of the torso. The fat is not held below the 30 mm of
    the sample. Nothing else depends on the index.
    """
    index = record.body_mass_index + by
    return dataclasses.replace(
        record,
        body_mass_index=index,
        fat=record.fat * _usual_fat(index) / _usual_fat(record.body_mass_index),
        half_width=record.half_width + _BREADTH_PER_INDEX * by,
    )
