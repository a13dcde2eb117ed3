"""Matching tracks with detections at the least total cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from clmot.tracking.costs import Floats, Indices, Pairs

try:
    from lap import lapjv
except ImportError:  # scipy finds the same optimum and is only slower on large groups
    lapjv = None

SMALL = 4096
"""Up to so many cells a matrix of all candidates is solved in less time than it takes to find their groups."""
LARGE_GROUP = 128
"""From this many rows and columns on lap is faster than scipy; below, scipy's call costs a tenth of lap's."""

Solver = Callable[[Floats], tuple[Indices, Indices]]


def assign(cost: Floats, limit: float) -> tuple[Indices, Indices, Indices]:
    """Match rows with columns so that the sum over matches of (cost - limit) is least.

    That is what `lap.lapjv(cost, extend_cost=True, cost_limit=limit)` minimises: leaving a row and a column
    unmatched costs as much as a match at the limit. A pair at the limit or above, inf included, is never
    matched.

    Args:
        cost: (M, N), without nan; M and N may be 0.
        limit: finite.

    Returns:
        matches (K, 2) ordered by row, unmatched rows ordered, unmatched columns ordered.

    Raises:
        ValueError: the cost holds nan.
    """
    cost = np.asarray(cost, np.float64)
    if np.isnan(cost).any():
        raise ValueError("the cost matrix holds nan")
    rows, cols = np.nonzero(cost < limit)
    return assign_pairs(Pairs(rows, cols, cost[rows, cols]), cost.shape, limit)


def assign_pairs(
    pairs: Pairs, shape: tuple[int, int], limit: float, solver: Solver | None = None
) -> tuple[Indices, Indices, Indices]:
    """`assign` for a cost matrix of `shape` that is given as its finite entries.

    Rows and columns that are linked by candidates form groups; the optimum of the whole is the optimum of
    each group, and in a gated crowd most groups are a single pair.

    Args:
        pairs: the candidates, no (row, column) twice.
        solver: gains (m, n), all <= 0, -> rows and columns of a minimum-sum assignment; None: the fastest
            here.
    """
    pairs = pairs.below(limit)
    if not len(pairs.rows):
        return np.zeros((0, 2), np.int64), np.arange(shape[0]), np.arange(shape[1])
    rows, cols = pairs.rows, pairs.cols
    partner = np.full(shape[0], -1, np.int64)  # of each row: its column
    alone = (np.bincount(rows, minlength=shape[0])[rows] == 1) & (np.bincount(cols, minlength=shape[1])[cols] == 1)
    partner[rows[alone]] = cols[alone]
    rest = ~alone
    if rest.any():
        assign_rest = _assign_groups
        if np.count_nonzero(np.bincount(rows[rest])) * np.count_nonzero(np.bincount(cols[rest])) <= SMALL:
            assign_rest = _assign_together
        assign_rest(rows[rest], cols[rest], pairs.costs[rest] - limit, shape, partner, solver or _solve)
    matched = np.nonzero(partner >= 0)[0]
    free_cols = np.ones(shape[1], bool)
    free_cols[partner[matched]] = False
    return np.stack((matched, partner[matched]), axis=1), np.nonzero(partner < 0)[0], np.nonzero(free_cols)[0]


def _assign_together(
    rows: Indices, cols: Indices, gains: Floats, shape: tuple[int, int], partner: Indices, solver: Solver
) -> None:
    """Solve all candidates at once and write the columns found into `partner`."""
    used_rows, row_place = np.unique(rows, return_inverse=True)
    used_cols, col_place = np.unique(cols, return_inverse=True)
    matrix = np.zeros((len(used_rows), len(used_cols)))
    matrix[row_place, col_place] = gains
    r, c = solver(matrix)
    real = matrix[r, c] < 0  # zeros are "unmatched"
    partner[used_rows[r[real]]] = used_cols[c[real]]


def _assign_groups(
    rows: Indices, cols: Indices, gains: Floats, shape: tuple[int, int], partner: Indices, solver: Solver
) -> None:
    """Solve each connected group of candidates and write the columns found into `partner`."""
    nodes = shape[0] + shape[1]
    by_row, ends = np.argsort(rows, kind="stable"), np.cumsum(np.bincount(rows, minlength=nodes), dtype=np.int32)
    links = (cols[by_row] + shape[0]).astype(np.int32)
    graph = csr_array((np.ones(len(rows)), links, np.concatenate((ends[:1] * 0, ends))), shape=(nodes, nodes))
    _, group_of_node = connected_components(graph, directed=False)
    used_rows, used_cols = np.unique(rows), np.unique(cols)
    row_place, row_start, row_order = _places(group_of_node, used_rows, used_rows)
    col_place, col_start, col_order = _places(group_of_node, used_cols + shape[0], used_cols)
    group = group_of_node[rows]
    order = np.argsort(group, kind="stable")
    group_ends = np.nonzero(np.diff(group[order], append=-1))[0] + 1
    # Plain lists: the loop below touches a few numbers at a time, where numpy's overhead would dominate.
    local_row, local_col = row_place[rows[order]], col_place[cols[order]]
    ordered_gains = gains[order]
    labels = group[order]
    begin = 0
    for end in group_ends.tolist():
        label = labels[begin]
        members_r = row_order[row_start[label] : row_start[label + 1]]
        members_c = col_order[col_start[label] : col_start[label + 1]]
        if len(members_r) == 1 or len(members_c) == 1:  # a star: its best pair
            best = order[begin + int(np.argmin(ordered_gains[begin:end]))]
            partner[rows[best]] = cols[best]
        else:
            matrix = np.zeros((len(members_r), len(members_c)))
            matrix[local_row[begin:end], local_col[begin:end]] = ordered_gains[begin:end]
            r, c = solver(matrix)
            real = matrix[r, c] < 0  # zeros are "unmatched"
            partner[members_r[r[real]]] = members_c[c[real]]
        begin = end


def _places(group_of_node: Indices, nodes: Indices, names: Indices) -> tuple[Indices, Indices, Indices]:
    """Number the nodes within their groups.

    Args:
        group_of_node: (V,) group of every node.
        nodes: (n,) the nodes to number, ascending.
        names: (n,) what they are called (row or column index).

    Returns:
        place by name; start of each group in the third, with the end of the last; names ordered by group.
    """
    group = group_of_node[nodes]
    order = np.argsort(group, kind="stable")
    start = np.concatenate(([0], np.cumsum(np.bincount(group, minlength=int(group_of_node.max()) + 1))))
    place = np.zeros(int(names.max()) + 1, np.int64)
    place[names[order]] = np.arange(len(nodes)) - start[group[order]]
    return place, start, names[order]


def _solve(gains: NDArray[np.float64]) -> tuple[Indices, Indices]:
    if lapjv is not None and min(gains.shape) >= LARGE_GROUP:
        return solve_with_lap(gains)
    return linear_sum_assignment(gains)


def solve_with_lap(gains: Floats) -> tuple[Indices, Indices]:
    """A minimum-sum assignment of gains (m, n), all <= 0, by lap; needs lap."""
    _, column, _ = lapjv(gains, extend_cost=True)
    rows = np.nonzero(np.asarray(column) >= 0)[0]
    return rows, np.asarray(column, np.int64)[rows]
