"""The rig, for tests of this folder."""

from tests.support.rig import rig

__all__ = ["rig"]
