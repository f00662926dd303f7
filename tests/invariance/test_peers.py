"""The same weights move with their company in the peers' packages and do not in ours."""

from __future__ import annotations

import pytest

from tests.invariance.company import TOLERANCE
from tests.invariance.peers import rows

pytestmark = pytest.mark.slow  # needs the peers' packages


def test_ours_stay_and_theirs_move_where_docs_say_so() -> None:
    found = {(r.network, r.what, r.whose): max(r.moved) for r in rows(count=6)}
    assert all(moved <= TOLERANCE for (_, _, whose), moved in found.items() if whose == "ours")
    assert found["Matcha-TTS", "encoder", "theirs"] <= TOLERANCE
    moving = {key: moved for key, moved in found.items() if key[2] != "ours" and key[1] != "encoder"}
    assert len(moving) == 10 and min(moving.values()) > 10 * TOLERANCE
