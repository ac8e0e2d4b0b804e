"""How a recurrence is spread over a GPU: who owns which units and rows, what fits, and what is expected to be quickest.

Letters and layout are those of cuda.md beside this file. Numbers alone, no device: the same plan in every process.
"""

import math
from functools import cache
from typing import NamedTuple

THREADS = 256
PACK = 16  # bytes that one load brings
RESERVED = 1024  # bytes of shared memory that the system keeps of each thread block


class Limits(NamedTuple):
    """What a device offers: multiprocessors; bytes of shared memory of a thread block, and of a multiprocessor; thread
    blocks in the largest cluster (1: none); whether a launch can be cooperative."""

    multiprocessors: int
    shared: int
    shared_all: int
    cluster: int
    cooperative: bool


class Kind(NamedTuple):
    """What of a cell its kernels are built on: see ``recurrence.cu``. ``name`` is that of its type there."""

    name: str
    G: int
    X: int
    D: int
    U0: int
    P: int
    cell: int


class Plan(NamedTuple):
    """``groups`` of ``C`` thread blocks; a group has ``R`` rows, a thread block ``nj`` units, a thread ``tile`` rows.

    ``chunk`` columns of h at a time; inner sums in ``splits``; ``shared`` bytes ahead and back. ``cluster``: the blocks
    of a group are one. ``cost``: expected microseconds of a step ahead and a step back.
    """

    groups: int
    C: int
    R: int
    nj: int
    tile: int
    chunk: int
    splits: tuple[int, int]
    shared: tuple[int, int]
    cluster: bool
    cost: float

    def sizes(self, n: int, B: int, H: int) -> tuple[int, ...]:
        """The last arguments of every kernel, in its order."""
        return n, B, H, self.C, self.R, self.nj, self.chunk, *self.splits

    def parts(self, H: int) -> int:
        """The numbers that thread blocks hand one another on the way back, twice over."""
        return 2 * self.groups * self.C * self.R * H if self.C > 1 else 0


def up(n: int, unit: int) -> int:
    """The least multiple of ``unit`` from n on."""
    return -(-n // unit) * unit


@cache
def plans(kind: Kind, itemsize: int, B: int, H: int, limits: Limits) -> tuple[Plan, ...]:
    """Every way to run the recurrence in one launch that is expected to be quicker than step by step; best first."""
    found = []
    for C in sorted({1, 2, 4, 8, 16, *(-(-H // nj) for nj in range(1, 33))}):
        cluster = 1 < C <= limits.cluster and C & (C - 1) == 0
        if C > H or limits.multiprocessors < C or not (C == 1 or cluster or limits.cooperative):
            continue
        for R in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64):
            plan = _lay_out(kind, itemsize, B, H, C, min(R, B), cluster, limits)
            if plan is not None and plan.cost < stepped(kind, B, H):
                found.append(plan)
    return tuple(sorted(set(found), key=lambda plan: (plan.cost, plan.C, plan.R)))


def stepped(kind: Kind, B: int, H: int) -> float:
    """Expected microseconds of a step ahead and a step back, each a product of the BLAS and a launch."""
    return 2 * (25.0 + 2 * kind.G * H * H * B / 2.0e7)


def _lay_out(kind: Kind, z: int, B: int, H: int, C: int, R: int, cluster: bool, limits: Limits) -> Plan | None:
    """The plan, or None if it does not fit. The sums are those at the head of each kernel."""
    V, groups, nj = PACK // z, -(-B // R), -(-H // C)
    NP, N, tile = 4 // V, kind.G * nj, 1 if R == 1 else 2 if R == 2 else 4
    rows = up(R, tile)
    alone = C == 1 or cluster
    if R * nj > THREADS or (not alone and groups * C > limits.multiprocessors):
        return None

    def tasks(width: int) -> int:
        return -(-(up(width, V) // V) // NP) * (rows // tile)

    wide, depth = up(N, V) + V, up(H, V)
    if tasks(N) > THREADS:
        return None
    ahead = max(1, min(THREADS // tasks(N), depth // V))
    fixed = (depth * wide + ahead * rows * wide) * z
    room = (limits.shared - fixed) // (rows * z) - 2 * V  # columns of h, the padding and what rounding adds set aside
    if room < min(depth, 64):
        return None
    chunk = up(-(-depth // -(-depth // room)), V)
    if C == 1 and chunk < depth:
        return None
    forward = fixed + rows * (chunk + V) * z

    deep, across = up(N, V), up(H, V)
    back = max(1, min(THREADS // tasks(H), deep // V))
    backward = (deep * across + rows * (deep + V) + (back * rows * across if back > 1 or C == 1 else 0)) * z
    if max(forward, backward) > limits.shared:
        return None
    shared = (forward, backward)
    cost = _cost(kind, z, B, H, C, R, nj, rows, groups, cluster, max(shared), limits)
    return Plan(groups, C, R, nj, tile, chunk, (ahead, back), shared, cluster, cost)


def _cost(
    kind: Kind, z: int, B: int, H: int, C: int, R: int, nj: int, rows: int, groups: int, cluster: bool, shared: int,
    limits: Limits,
) -> float:  # fmt: skip
    """Microseconds, from clocks at 1.7 GHz: what a thread block computes and moves, and how long its group waits."""
    products = rows * kind.G * nj * H
    flops, loads = products / (128 if z == 4 else 64), rows / min(rows, 4) * kind.G * nj * H * z / 128
    multiply = (1.4 if rows <= 4 else 2.0) * max(flops, loads) + 38 * z * min(rows, 8)
    together = 0.0 if C == 1 else rows * H * z * (1 / 48 + groups * C / 3000)
    latency = 1000.0 if C == 1 else 2200.0 + 30.0 * C if cluster else 5500.0
    usable = limits.multiprocessors * (0.85 if cluster else 1.0)  # clusters leave some of each corner of the chip empty
    at_once = max(1, int(usable) // C)
    fit = max(1, min(limits.shared_all // (shared + RESERVED), 2048 // THREADS))  # thread blocks of a multiprocessor
    waves = -(-groups // (at_once * fit))
    here = max(1, math.ceil(groups / at_once / waves - 0.2))  # that share a multiprocessor; a few may
    return 2 * waves * (latency + here * (multiply + 1.5 * together)) / 1700
