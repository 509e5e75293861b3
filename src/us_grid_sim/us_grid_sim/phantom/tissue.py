"""Tissues and what they are to ultrasound."""

import math
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor


class Tissue(IntEnum):
    """What a voxel or pixel is made of; where the shapes of several overlap, the later one here has it."""

    TRANSVERSUS = 0
    INTERNAL_OBLIQUE = 1
    EXTERNAL_OBLIQUE = 2
    GLUTEUS = 3
    RETROPERITONEUM = 4
    ERECTOR_SPINAE = 5
    MULTIFIDUS = 6
    LIGAMENT = 7
    CANAL = 8
    FASCIA = 9
    FAT = 10
    SKIN = 11
    AIR = 12
    BONE = 13


@dataclass(frozen=True)
class Acoustics:
    """Acoustic properties of a tissue.

    Attributes:
        impedance: [MRayl].
        attenuation: [dB/cm/MHz], one way, across muscle fibres.
        backscatter: amplitude of its scatterers [dB against muscle].
    """

    impedance: float
    attenuation: float
    backscatter: float


ACOUSTICS: dict[Tissue, Acoustics] = {
    # Impedance and attenuation of fat (0.48), connective tissue, muscle and cortical bone: Culjat et al. 2010,
    # Ultrasound Med Biol 36:861, tab. 1. Muscle across its fibres: 0.74 (Nassiri et al. 1979, Ultrasonics 17:230); the
    # table's 1.09 is a mean of directions. Skin: IT'IS database v4.1 (1109 kg/m^3, 1624 m/s; 1.84 dB/cm at 1 MHz).
    # Cerebrospinal fluid: IT'IS (1007 kg/m^3, 1505 m/s). Backscatter: integrated backscatter at 5 MHz of fat is some
    # decibels over that of muscle across its fibres, of skin and collagen 10 dB and more (Shung & Thieme 1993,
    # Ultrasonic Scattering in Biological Tissues, ch. 4, 5). Bone: its porous surface, seen before its attenuation
    # takes it away.
    Tissue.AIR: Acoustics(0.0004, 0.0, -120.0),
    Tissue.SKIN: Acoustics(1.80, 1.84, 11.0),
    Tissue.FAT: Acoustics(1.40, 0.48, -1.0),
    Tissue.FASCIA: Acoustics(1.81, 1.57, 12.0),
    Tissue.ERECTOR_SPINAE: Acoustics(1.62, 0.74, 0.0),
    Tissue.MULTIFIDUS: Acoustics(1.62, 0.74, 1.0),
    Tissue.EXTERNAL_OBLIQUE: Acoustics(1.62, 0.74, 0.0),
    Tissue.INTERNAL_OBLIQUE: Acoustics(1.62, 0.74, 0.5),
    Tissue.TRANSVERSUS: Acoustics(1.62, 0.74, -1.0),
    Tissue.GLUTEUS: Acoustics(1.62, 0.74, -1.0),
    Tissue.LIGAMENT: Acoustics(1.81, 1.57, 5.0),
    Tissue.CANAL: Acoustics(1.52, 0.02, -30.0),
    Tissue.RETROPERITONEUM: Acoustics(1.40, 0.60, 2.0),
    Tissue.BONE: Acoustics(7.38, 6.90, 10.0),
}

MUSCLES = (
    Tissue.ERECTOR_SPINAE,
    Tissue.MULTIFIDUS,
    Tissue.EXTERNAL_OBLIQUE,
    Tissue.INTERNAL_OBLIQUE,
    Tissue.TRANSVERSUS,
    Tissue.GLUTEUS,
)

FIBRE_ANGLE: dict[Tissue, float] = {
    # Angle of the fibres on the parallel plane against the spine, caudal ends lateral positive [rad]: multifidus 15 to
    # 20 degrees (Macintosh & Bogduk 1986, Clin Biomech 1:205), erector spinae nearly parallel to the spine (Macintosh
    # & Bogduk 1987, Spine 12:658), gluteus maximus about 45, the obliques about 60 to either side, transversus across
    # (Gray's Anatomy, 41st ed.).
    Tissue.ERECTOR_SPINAE: -0.07,
    Tissue.MULTIFIDUS: 0.31,
    Tissue.EXTERNAL_OBLIQUE: 1.05,
    Tissue.INTERNAL_OBLIQUE: -1.05,
    Tissue.TRANSVERSUS: 1.57,
    Tissue.GLUTEUS: 0.79,
}


def table(attribute: str) -> Tensor:
    """(number of tissues,) float32: one attribute of Acoustics, indexed by Tissue."""
    return torch.tensor([getattr(ACOUSTICS[tissue], attribute) for tissue in Tissue])


def fibre_direction(tissue: Tissue, side: float) -> tuple[float, float]:
    """Unit vector (s, t) of a muscle's fibres on the parallel plane, cranial; ``side``: 1 on the right, -1 on the left.

    Raises:
        KeyError: the tissue is no muscle.
    """
    angle = FIBRE_ANGLE[tissue]
    return math.cos(angle), -side * math.sin(angle)
