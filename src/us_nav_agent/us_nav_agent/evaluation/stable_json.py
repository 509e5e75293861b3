"""Results as JSON that is the same byte for byte where the results are."""

import json
import math
from typing import Any

_DECIMALS = 6
"""Beyond these two machines may differ."""


def to_stable_json(content: Any) -> str:
    """JSON with its keys sorted and its numbers rounded, null for NaN.

    Raises:
        ValueError: a number is infinite, which no result may be.
    """
    return json.dumps(_rounded(content), indent=2, sort_keys=True, allow_nan=False) + "\n"


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _rounded(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    if isinstance(content, float):
        return None if math.isnan(content) else round(content, _DECIMALS)
    return content
