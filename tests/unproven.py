"""Tests that have not been seen to pass yet, and are told as skipped until they have."""

from __future__ import annotations

import os

import pytest

WANTED = "CDC_UNPROVEN"


def unproven(why: str) -> pytest.MarkDecorator:
    """Skips what is marked unless CDC_UNPROVEN=1, with the reason in the report.

    Args:
        why: what is known of it. A test that passes loses the mark.
    """
    return pytest.mark.skipif(
        os.environ.get(WANTED) != "1", reason=f"not seen to pass yet ({why}); {WANTED}=1 runs it"
    )
