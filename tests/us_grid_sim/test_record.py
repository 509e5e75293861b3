"""Records of virtual subjects: sampled as people are, changed as they may be, and kept as JSON."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.phantom.record import SubjectRecord, heavier, in_body_of, sample_subject, with_fat
from us_grid_sim.phantom.spine import lay_out


def test_a_record_comes_back_from_json() -> None:
    record = sample_subject(3, 7)
    assert SubjectRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seed": 1}'])
def test_a_record_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsGridSimError, match="a subject record"):
        SubjectRecord.from_json(text)


def test_the_same_seed_gives_the_same_subject_and_another_index_another() -> None:
    assert sample_subject(1, 2) == sample_subject(1, 2)
    assert sample_subject(1, 2) != sample_subject(1, 3)
    assert sample_subject(1, 2) != sample_subject(2, 2)


def test_a_heavier_subject_has_more_fat_and_a_broader_back_and_is_else_the_same() -> None:
    """Fat of twice the median of its index (9 mm at 24.5, 1.1 mm more each) stays twice the median."""
    record = dataclasses.replace(sample_subject(0, 1), body_mass_index=24.5, fat=0.018, half_width=0.160)
    changed = heavier(record, 8.0)
    assert (changed.body_mass_index, changed.half_width) == pytest.approx((32.5, 0.184))
    assert changed.fat == pytest.approx(2 * (0.009 + 8 * 0.0011))
    kept = {name: getattr(record, name) for name in ("body_mass_index", "fat", "half_width")}
    assert dataclasses.replace(changed, **kept) == record
    assert heavier(record, 0.0) == record


BONES = re.findall(
    r"\w+",
    """
    size, lordosis, sacral_slope, sacral_kyphosis, disc, curve, axial_rotation, vertebra_scale, spinous_deviation,
    spinous_length, transverse_left, transverse_right, sacrum_width, sacrum_length, crest_height, foramen,
    tubercles, sacralised_left, sacralised_right, open_arch, hiatus, psis_half_distance, ilium_flare, crest_level,
    ilium_tilt
    """,
)


def test_in_another_body_the_bones_are_the_same_and_nothing_else_is() -> None:
    record, donor = sample_subject(0, 1), sample_subject(5, 1)
    changed = dataclasses.asdict(in_body_of(record, donor))
    for name, value in changed.items():
        assert value == getattr(record if name in BONES else donor, name)


def test_half_of_a_difference_in_fat_is_one_of_weight() -> None:
    record = dataclasses.replace(sample_subject(0, 1), body_mass_index=24.5, fat=0.009, half_width=0.160)
    changed = with_fat(record, 0.031)
    assert (changed.fat, changed.body_mass_index, changed.half_width) == pytest.approx((0.031, 34.5, 0.190))
    assert with_fat(record, record.fat) == record


@given(seed=st.integers(0, 10**6), index=st.integers(0, 10**4))
@settings(max_examples=200)
def test_a_sampled_subject_is_an_adult(seed: int, index: int) -> None:
    record = sample_subject(seed, index)
    assert 0.85 < record.size < 1.15
    assert 17 < record.body_mass_index < 36
    assert 0.004 <= record.fat <= 0.030
    assert np.deg2rad(17) < record.lordosis < np.deg2rad(73)
    assert abs(record.shift_x) <= 0.02
    assert 0.0 <= record.contact <= 1.0
    assert all(0.7 < scale < 1.3 for scale in record.transverse_left + record.transverse_right)


def test_lordosis_and_sacral_slope_go_together_so_that_every_back_lies_level() -> None:
    records = [sample_subject(2, index) for index in range(200)]
    lordosis, slope = np.array([(record.lordosis, record.sacral_slope) for record in records]).T
    assert 0.8 < np.corrcoef(lordosis, slope)[0, 1] < 0.92
    fall = [np.subtract(*(v.origin[2] for v in lay_out(record).vertebrae[:6:5])) for record in records]
    assert np.abs(np.array(fall) - np.mean(fall)).max() < 0.045, "T11 against L4: at 17 degrees, 45 mm over 15 cm"


def test_variants_change_no_other_number_of_a_subject() -> None:
    record = sample_subject(0, 3)
    assert (record.size, record.ilium_tilt) == (0.9183108097955581, 0.0003335989194405798)
    assert (record.uneven_seed, record.speckle_seed) == (697169395, 1951630209)


def test_variants_are_as_common_as_in_the_literature() -> None:
    records = [sample_subject(4, index) for index in range(1000)]
    grades = np.array([(record.sacralised_left, record.sacralised_right) for record in records])
    transitional = grades.max(axis=1) > 0.0
    assert 0.09 < transitional.mean() < 0.15
    worst = grades.max(axis=1)[transitional]
    assert 0.30 < (worst < 0.7).mean() < 0.54, "Castellvi I"
    assert (np.abs(worst - np.where(worst < 0.7, 0.55, 0.95)) <= 0.1001).all()
    assert 0.35 < (grades[transitional].min(axis=1) > 0.0).mean() < 0.65, "on both sides"
    only_left = (grades[transitional] > 0.0)[:, 0] & (grades[transitional] == 0.0)[:, 1]
    assert 0.15 < only_left.mean() < 0.35
    opened = np.array([record.open_arch for record in records if record.open_arch > 0.0])
    assert 0.09 < len(opened) / 1000 < 0.16
    assert 0.0029 < opened.min() < 0.005 < 0.008 < opened.max() < 0.0101
    hiatus = np.array([record.hiatus for record in records])
    fourth = (hiatus > 0.70) & (hiatus < 0.86)
    assert 0.62 < fourth.mean() < 0.75, "the apex is at S4"
    assert 0.13 < (hiatus <= 0.70).mean() < 0.22
    assert 0.09 < (hiatus >= 0.86).mean() < 0.18
    tubercles = np.array([record.tubercles for record in records])
    assert tubercles.shape == (1000, 4)
    assert 0.22 < tubercles.std() < 0.35
    assert tubercles.min() > 0.0


def test_variants_of_one_kind_go_without_those_of_another() -> None:
    records = [sample_subject(4, index) for index in range(1000)]
    grade = np.array([max(record.sacralised_left, record.sacralised_right) for record in records])
    opened = np.array([record.open_arch for record in records])
    assert abs(np.corrcoef(grade > 0.0, opened > 0.0)[0, 1]) < 0.1
    assert abs(np.corrcoef(grade, [record.hiatus for record in records])[0, 1]) < 0.1
