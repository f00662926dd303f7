"""A peer that is missing skips a test, or fails it where that is asked for: what .ci/run asks for cannot go by unseen."""

from __future__ import annotations

import pytest

from tests.parity.peers import REQUIRED, bare_packages


@pytest.mark.parametrize(("value", "outcome"), [("required", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_peer_skips_or_fails(value: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, value)
    with pytest.raises(outcome, match="the peer's package no_such_peer is not installed"), bare_packages("no_such_peer"):
        pass
