"""The block of Push-T as plain geometry: its outline, where it can be pushed, and the ways around it.

Points are pixels. A pose is where the middle of the bar's outer edge is and the block's angle, as gym-pusht shows
it; the block's own axes have that place as origin, the bar along x and the stem along y.
"""

from __future__ import annotations

import math

import numpy as np

RADIUS = 15.0  #: of the pusher
CLEAR = RADIUS + 9.0  #: how far from the outline the pusher's centre goes around it, and from where it begins a push
GOAL = np.array([256.0, 256.0, np.pi / 4])

#: [8, 2] the outline, in order
CORNERS = np.array([(-60, 0), (60, 0), (60, 30), (15, 30), (15, 120), (-15, 120), (-15, 30), (-60, 30)], float)
_LOW, _HIGH = np.array([(-60, 0), (-15, 30)], float), np.array([(60, 30), (15, 120)], float)  # bar and stem
# stretches of the outline, and the way into the block; not where the pusher would come near another one on its way
_EDGES = (
    ((-60, 0), (60, 0), (0, 1)),
    ((60, 0), (60, 30), (-1, 0)),
    ((60, 30), (15 + CLEAR, 30), (0, -1)),
    ((15, 30 + CLEAR), (15, 120), (-1, 0)),
    ((15, 120), (-15, 120), (0, -1)),
    ((-15, 120), (-15, 30 + CLEAR), (1, 0)),
    ((-15 - CLEAR, 30), (-60, 30), (0, -1)),
    ((-60, 30), (-60, 0), (1, 0)),
)
_WIDE = CLEAR + 3.0
_TURNS = np.array(  # [6, 2] where a way may turn, beside the outer corners
    [
        (-60 - _WIDE, -_WIDE),
        (60 + _WIDE, -_WIDE),
        (60 + _WIDE, 30 + _WIDE),
        (-60 - _WIDE, 30 + _WIDE),
        (15 + _WIDE, 120 + _WIDE),
        (-15 - _WIDE, 120 + _WIDE),
    ]
)


def turned(vectors: np.ndarray, angle: float) -> np.ndarray:
    """Return vectors [..., 2] turned by an angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return vectors @ np.array([[cos, sin], [-sin, cos]])


def to_world(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return where points [..., 2] of the block are in the picture."""
    return turned(points, pose[2]) + pose[:2]


def to_block(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points [..., 2] of the picture in the block's own axes."""
    return turned(points - pose[:2], -pose[2])


def distance(points: np.ndarray) -> np.ndarray:
    """Return the distances [...] of points [..., 2] in the block's axes from the block, 0 inside."""
    beyond = np.maximum(np.maximum(_LOW - points[..., None, :], points[..., None, :] - _HIGH), 0)
    return np.hypot(beyond[..., 0], beyond[..., 1]).min(-1)


def misplaced(pose: np.ndarray) -> float:
    """Return how far the block's corners are from their goals, root mean square, in pixels."""
    # squared distances of a rigid move: that of the corners' mean, and their spread around it times the turn
    x, y, angle = pose.tolist()
    cos, sin = math.cos(angle), math.sin(angle)
    right, down = x + cos * _MEAN[0] - sin * _MEAN[1] - _AIM[0], y + sin * _MEAN[0] + cos * _MEAN[1] - _AIM[1]
    return math.sqrt(right**2 + down**2 + 4 * math.sin((angle - _AIM[2]) / 2) ** 2 * _SPREAD)


_MEAN = CORNERS.mean(0).tolist()
_SPREAD = float(((CORNERS - _MEAN) ** 2).sum(1).mean())
_AIM = [*to_world(GOAL, np.array(_MEAN)).tolist(), float(GOAL[2])]


def contacts(spacing: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """Return points of the outline [M, 2] where it can be pushed and the unit vectors [M, 2] into the block there."""
    points, inwards = list[np.ndarray](), list[np.ndarray]()
    for start, end, normal in _EDGES:
        a, b = np.array(start, float), np.array(end, float)
        count = round(float(np.linalg.norm(b - a)) / spacing)
        points.append(a + (b - a) * ((np.arange(count) + 0.5) / count)[:, None])
        inwards.append(np.tile(np.array(normal, float), (count, 1)))
    return np.concatenate(points), np.concatenate(inwards)


def _free(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether the straight ways from points a to b keep clear of the block, but for a rounding."""
    share = np.linspace(0, 1, 33)[:, None]
    return distance(a[..., None, :] * (1 - share) + b[..., None, :] * share).min(-1) > CLEAR - 0.6


class Ways:
    """The shortest ways of the pusher's centre around the block to some places, all in the block's axes.

    Args:
        places: [M, 2] where ways end, clear of the block.
    """

    def __init__(self, places: np.ndarray) -> None:
        self._stops = np.concatenate([_TURNS, places])
        a, b = _TURNS[:, None], self._stops[None]
        self._legs = np.where(_free(a, b), np.linalg.norm(a - b, axis=-1), np.inf)

    def to_places(self, start: np.ndarray, pose: np.ndarray) -> list[np.ndarray | None]:
        """Return the way to each place, [L, 2] without its start, or ``None`` where the picture leaves no room for one.

        Args:
            start: [2] where the pusher is; if it is too near, each way begins with the step that takes it away.
            pose: of the block, which says what of its surroundings lies within the picture.
        """
        away = _away(start)
        begin = away[-1] if away else start
        where = to_world(pose, self._stops)
        inside = np.all((where >= 4) & (where <= 508), axis=1)
        lengths = np.where(inside & _free(begin, self._stops), np.linalg.norm(self._stops - begin, axis=1), np.inf)
        legs = np.where(inside[: len(_TURNS), None] & inside, self._legs, np.inf)
        before = np.full(len(lengths), -1)
        for _ in _TURNS:
            through = lengths[: len(_TURNS), None] + legs
            turn = through.argmin(0)
            shorter = through[turn, np.arange(len(lengths))] < lengths - 1e-9
            lengths = np.where(shorter, through[turn, np.arange(len(lengths))], lengths)
            before = np.where(shorter, turn, before)
        return [
            np.array([*away, *self._stops[_chain(before, stop)]]) if np.isfinite(lengths[stop]) else None
            for stop in range(len(_TURNS), len(lengths))
        ]


def _chain(before: np.ndarray, stop: int) -> list[int]:
    chain = [stop]
    while before[chain[0]] >= 0:
        chain.insert(0, int(before[chain[0]]))
    return chain


def _away(start: np.ndarray) -> list[np.ndarray]:
    """The place clear of the block that the nearest way out leads to, or nothing if ``start`` is clear."""
    place, tiny = start, 1e-3 * np.eye(2)
    for _ in range(12):  # out of an inner corner it is a zigzag
        missing = CLEAR - float(distance(place))
        if missing < 0.3:
            break
        slope = distance(place + tiny) - distance(place - tiny) if missing < CLEAR else place - np.array([0.0, 45.0])
        place = place + slope / max(float(np.linalg.norm(slope)), 1e-9) * missing
    return [] if place is start else [place]
