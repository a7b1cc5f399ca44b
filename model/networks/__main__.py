"""``python -m model.networks [--time] [NAME ...]``: the table of the networks by name, all of them when none is named."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from model.networks import NETWORKS, BandStatistics, create_network, network_bands
from model.networks.costs import TILE_PX, network_costs


def row(cells: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def described(name: str, timed: bool = False) -> str:
    """The row of a network; ``timed``: with what a tile costs in onnxruntime."""
    bands = network_bands(name)
    start = [f"`{name}`", " ".join(bands)]
    try:
        costs = network_costs(name)
    except ValueError:
        return row([*start, *("-" * (5 if timed else 4))])
    low, high = (" x ".join(map(str, shape)) or "-" for shape in (costs.low, costs.high))
    cells = [*start, f"{costs.parameters / 1e6:.1f}", f"{costs.gmac:.1f}", low, high]
    if timed:
        from model.networks.timing import tile_milliseconds  # noqa: PLC0415 heavy

        network = create_network(name, BandStatistics((0.0,) * len(bands), (1.0,) * len(bands), (0.5,) * len(bands)))
        cells.append(f"{tile_milliseconds(network):.0f}")
    return row(cells)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m model.networks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, []], metavar="NAME")
    parser.add_argument("--time", action="store_true", help="measure a tile in onnxruntime: processor time of one core")
    options = parser.parse_args()
    header = ["network", "bands", "parameters (million)", f"GMAC of a {TILE_PX} px tile", "low-level features", "high-level features"]
    header += [f"ms of a {TILE_PX} px tile"] * options.time
    for line in (header, ["---", "---", "---:", "---:", "---", "---", *["---:"] * options.time]):
        sys.stdout.write(row(line) + "\n")
    for name in options.names or NETWORKS:
        sys.stdout.write(described(name, options.time) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
