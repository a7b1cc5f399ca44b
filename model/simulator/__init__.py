"""Simulated mountain landscapes of any size with rock glaciers whose outlines are known; see docs/simulator.md."""

from model.simulator.landscape import Landscape, RockGlacier, simulate
from model.simulator.surface import LAND_COVER

__all__ = ["LAND_COVER", "Landscape", "RockGlacier", "simulate"]
