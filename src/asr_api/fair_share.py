"""Fair share of places that are limited: one account may fill them, and each other one still gets in."""

from __future__ import annotations

NEWCOMERS_PART = 4


def num_for_newcomers(max_places: int) -> int:
    """Places beyond the limit, for accounts that hold none."""
    return max(1, max_places // NEWCOMERS_PART)


def is_full(num_taken: int, max_places: int, *, is_newcomer: bool) -> bool:
    """is_newcomer: it is asked for an account that holds none of the places"""
    return num_taken >= max_places + (num_for_newcomers(max_places) if is_newcomer else 0)
