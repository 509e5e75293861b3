"""The bins that a simulation starts at are those that a navigation walks over."""

import pytest
from iiwa_bridge.description.errors import DescriptionError
from iiwa_bridge.description.grid import COLUMNS, ROWS, bin_centre

from us_grid_sim import geometry


def test_every_bin_lies_where_the_grid_has_it() -> None:
    assert (ROWS, COLUMNS) == (geometry.ROWS, geometry.COLUMNS)
    for state in range(geometry.BINS):
        place = geometry.Bin.from_state(state)
        assert bin_centre(f"{place.row},{place.column}") == pytest.approx(place.center, abs=1e-12)


@pytest.mark.parametrize("text", ["", "5", "11,0", "0,15", "-1,0", "a,b", "1,2,3", "0.5,1"])
def test_what_is_no_bin_is_refused(text: str) -> None:
    with pytest.raises(DescriptionError, match='expected "row,column", rows 0 to 10, columns 0 to 14'):
        bin_centre(text)
