"""The lidars of Safety-Gymnasium's navigation tasks, of many environments at once.

Every bit is the stock one's: the same floating-point operations, in arrays.
"""

import numpy as np


def read_lidars(
    points: np.ndarray,
    position: np.ndarray,
    rotation: np.ndarray,
    first_bins: np.ndarray,
    width: int,
    n_bins: int,
    reach: float,
) -> np.ndarray:
    """Read all lidars of E environments, one for each kind of obstacle.

    Args:
        points: (E, n, 3) where obstacles are; their heights are set to 0.
        position, rotation: (E, 3) and (E, 3, 3) of the agents.
        first_bins: (n,) where an obstacle's lidar begins in a row of the result.
        width: all lidars' bins together.
        n_bins: bins of one lidar, which goes once around the agent.
        reach: distance at which an obstacle is out of sight.

    Returns:
        (E, width) readings in [0, 1]: of the nearest obstacle, or of one in the next bin, which
        counts less the farther it is from the border (stock: "aliasing").
    """
    points[..., 2] = 0
    # (1, 3) @ (3, 3) for each point: numpy takes the routine then that it takes for stock code's
    # single points; that for (n, 3) @ (3, 3) may round in another way.
    ego = np.matmul((points - position[:, None])[..., None, :], rotation[:, None])[..., 0, :2]
    # Complex as in stock code: hypot rounds in another way.
    distance = np.abs(np.ascontiguousarray(ego).view(complex)[..., 0])
    seen = distance < reach
    env, obstacle = np.nonzero(seen)
    angle = np.arctan2(ego[..., 1], ego[..., 0])[seen] % (2 * np.pi)
    bin_size = 2 * np.pi / n_bins
    nearest = (angle / bin_size).astype(int)
    alias = (angle - bin_size * nearest) / bin_size
    reading = (reach - distance[seen]) / reach
    lidars = np.zeros((len(points), width))
    flat, first = lidars.reshape(-1), env * width + first_bins[obstacle]
    np.maximum.at(flat, first + nearest % n_bins, reading)
    np.maximum.at(flat, first + (nearest + 1) % n_bins, alias * reading)
    np.maximum.at(flat, first + (nearest - 1) % n_bins, (1 - alias) * reading)
    return lidars
