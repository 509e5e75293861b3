"""Vectors of three plain floats: for a handful of points numpy's calls cost more than the arithmetic."""

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]
"""Rows."""


def plus(a: Vector, b: Vector) -> Vector:
    """The sum a + b."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def minus(a: Vector, b: Vector) -> Vector:
    """The difference a - b."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def cross(a: Vector, b: Vector) -> Vector:
    """The vector product a x b."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def rotated(matrix: Matrix, vector: Vector) -> Vector:
    """The product of a matrix and a vector."""
    x, y, z = vector
    a, b, c = matrix
    return (
        a[0] * x + a[1] * y + a[2] * z,
        b[0] * x + b[1] * y + b[2] * z,
        c[0] * x + c[1] * y + c[2] * z,
    )


def transposed(matrix: Matrix) -> Matrix:
    """The inverse of a rotation."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return (a, d, g), (b, e, h), (c, f, i)


def rows_of(pose: list[list[float]]) -> tuple[Matrix, Vector]:
    """Rotation and translation of a pose (4, 4) that was an array."""
    (a, b, c, x), (d, e, f, y), (g, h, i, z), _ = pose
    return ((a, b, c), (d, e, f), (g, h, i)), (x, y, z)
