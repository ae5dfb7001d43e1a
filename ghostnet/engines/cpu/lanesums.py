"""The sums of the lanes of several vectors at once: which lanes are added to which.

A vector alone is summed by halves: its low half and its high half are added, then the halves of what that gives. Two
vectors take no more additions: the low halves of both are added to the high halves of both, and so on until each lane
is the sum of one of as many vectors as there are lanes. Every sum has the order that it has alone.
"""

from __future__ import annotations

IN_ONE = 16  # bytes within which a processor moves lanes fastest


def additions(lanes: int, size: int) -> list[tuple[list[int], list[int]]]:
    """For each round of additions of two vectors: the lanes of the first and, counted on, of the second that are added.

    Args:
        lanes: of a vector, a power of two.
        size: bytes of a lane.
    """
    rounds = []
    width = lanes  # of a part, which sums one vector
    while width > 1:
        starts = list(range(0, 2 * lanes, width))
        within = IN_ONE // size
        if width <= within:  # parts stay where they are, beside the other vector's
            starts.sort(key=lambda start: (start % lanes // within, start))
        half = width // 2
        low, high = ([start + side + i for start in starts for i in range(half)] for side in (0, half))
        rounds.append((low, high))
        width = half
    return rounds


def sources(lanes: int, size: int) -> list[int]:
    """Which of the vectors each lane is the sum of in the end, if they are taken by twos in their order."""
    owners = [[vector] * lanes for vector in range(lanes)]
    for low, _ in additions(lanes, size):
        owners = [[(a + b)[lane] for lane in low] for a, b in zip(owners[::2], owners[1::2], strict=True)]
    return owners[0]
