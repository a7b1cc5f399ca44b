"""``python -m model.networks``: the table of all networks by name."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.networks import NETWORKS, network_bands
from model.networks.costs import TILE_PX, network_costs


def row(cells: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def described(name: str) -> str:
    """The row of a network."""
    start = [f"`{name}`", " ".join(network_bands(name))]
    try:
        costs = network_costs(name)
    except ValueError:
        return row([*start, "-", "-", "-", "-"])
    low, high = (" x ".join(map(str, shape)) or "-" for shape in (costs.low, costs.high))
    return row([*start, f"{costs.parameters / 1e6:.1f}", f"{costs.gmac:.1f}", low, high])


def main() -> None:
    """Print the table."""
    header = ["network", "bands", "parameters (million)", f"GMAC of a {TILE_PX} px tile", "low-level features", "high-level features"]
    for line in (header, ["---", "---", "---:", "---:", "---", "---"]):
        sys.stdout.write(row(line) + "\n")
    for name in NETWORKS:
        sys.stdout.write(described(name) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
