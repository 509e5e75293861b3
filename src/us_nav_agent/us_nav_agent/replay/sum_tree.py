"""A sum tree: draws indices in proportion to their priorities in log time (Schaul et al. 2016, sec. 3.3)."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class SumTree:
    """Priorities of ``capacity`` places in a binary tree whose nodes hold the sum of what lies below.

    Args:
        capacity: number of places, at least 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a sum tree of {capacity} places; it must have at least 1")
        self.capacity = capacity
        self._leaves = 1 << (capacity - 1).bit_length()
        self._nodes = np.zeros(2 * self._leaves)

    @property
    def total(self) -> float:
        """Sum of all priorities."""
        return float(self._nodes[1])

    @property
    def priorities(self) -> Array:
        """The priorities (capacity,), a copy."""
        return self._nodes[self._leaves : self._leaves + self.capacity].copy()

    def set(self, indices: Indices, priorities: Array) -> None:
        """Set priorities; where an index stands twice the last value counts.

        Raises:
            ValueError: a priority is negative or not finite, or there is no such place.
        """
        if not (np.isfinite(priorities).all() and (priorities >= 0).all()):
            raise ValueError("priorities must be finite and not negative")
        outside = indices[(indices < 0) | (indices >= self.capacity)]
        if outside.size:
            raise ValueError(f"place {outside[0]} is not in the tree; its places are 0 to {self.capacity - 1}")
        nodes = indices + self._leaves
        self._nodes[nodes] = priorities
        nodes = np.unique(nodes)
        while nodes.size and nodes[0] > 1:
            nodes = np.unique(nodes // 2)
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, sums: Array) -> Indices:
        """The place in which the running sum of priorities passes each of ``sums``, 0 to total."""
        nodes = np.ones(sums.shape, dtype=np.int64)
        rest = sums.astype(np.float64).copy()
        while nodes.size and nodes[0] < self._leaves:
            left = self._nodes[2 * nodes]
            # An empty right branch is never entered, however rounding fell.
            right = (rest >= left) & (self._nodes[2 * nodes + 1] > 0)
            rest = np.where(right, rest - left, rest)
            nodes = 2 * nodes + right
        return nodes - self._leaves

    def sample(self, count: int, rng: np.random.Generator) -> Indices:
        """Draw ``count`` places in proportion to their priorities, one from each of as many equal strata.

        Raises:
            ValueError: all priorities are zero.
        """
        if self.total <= 0:
            raise ValueError("nothing to draw: all priorities are zero")
        return self.find((np.arange(count) + rng.random(count)) / count * self.total)
