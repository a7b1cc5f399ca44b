"""Parameters and multiplications, against the figures of the networks' own papers and of counts made apart from this code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs import STACK_BANDS
from model.networks import NETWORKS, find_network, network_bands
from model.networks.__main__ import described, main
from model.networks.costs import network_costs

README = Path(__file__).parents[2] / "model" / "README.md"


@pytest.mark.parametrize(
    ("name", "options", "millions", "gmac"),
    [
        ("dednet-hrnet-w48", {}, 143.57, 177.2),
        ("dednet-hrnet-w48", {"aspp_placement": "after_fusion"}, 138.8, 141.7),
        ("dednet-hrnet-w32", {}, 68.0, 109.5),
        ("dednet-hrnet-w18", {}, 25.4, 63.4),
        ("dednet-hrnet-w18", {"backbone": "hrnet_w18_small_v2"}, 14.0, 55.0),
        ("dednet-resnet50", {}, 79.7, 56.4),
        ("dednet-resnet50", {"output_stride": 8}, 79.7, 163.7),
        ("dednet-resnet101", {}, 117.6, 74.7),
        ("cdnet-hrnet-w48", {}, 72.3, 92.6),
        ("cdnet-resnet50", {}, 40.3, 32.7),
    ],
)
def test_costs_at_352_px(name: str, options: dict, millions: float, gmac: float) -> None:
    costs = network_costs(name, **options)
    assert costs.parameters / 1e6 == pytest.approx(millions, rel=5e-3)
    assert costs.gmac == pytest.approx(gmac, rel=5e-3)


def test_dednet_has_twice_the_parameters_of_cdnet() -> None:
    """Lin et al. (2024), section 5.3."""
    dednet, cdnet = network_costs("dednet-hrnet-w48"), network_costs("cdnet-hrnet-w48")
    assert dednet.parameters / cdnet.parameters == pytest.approx(2, abs=0.1)
    assert (dednet.low, dednet.high) == ((256, 88, 88), (720, 88, 88))


def test_block_1_alone_needs_no_high_level_spectral_features() -> None:
    both, block1, block2 = (network_costs(f"dednet-compact{name}").gmac for name in ("", "-block1", "-block2"))
    assert block1 < 0.75 * both
    assert block2 < both


def test_row_of_the_table() -> None:
    assert described("cdnet-nir-compact") == "| `cdnet-nir-compact` | nir evi savi | 1.4 | 4.2 | 24 x 88 x 88 | 112 x 44 x 44 |"


ROW = re.compile(r"\| `([\w-]+)` \|.* \| ([\d.]+) M \| ([\d.]+) \|(?: (\d+ x \d+ x \d+), (\d+ x \d+ x \d+) \|)?")


@pytest.mark.parametrize("row", ROW.findall(README.read_text(encoding="utf-8")), ids=lambda row: row[0])
def test_tables_of_the_readme_are_those_of_the_command(row: tuple[str, ...]) -> None:
    name, *figures = row
    cells = described(name).strip("| ").split(" | ")[2:]
    assert [figure for figure in figures if figure] == cells[: len(list(filter(None, figures)))]


def test_bands_of_a_network_are_known_before_it_is_built() -> None:
    assert network_bands("dednet-hrnet-w48") == STACK_BANDS
    assert network_bands("cdnet-hrnet-w48") == ("red", "green", "blue")
    assert network_bands("cdnet-nir-hrnet-w48") == ("nir", "evi", "savi")
    assert network_bands("mi-cdnet-compact", bands=("red", "elevation")) == ("red", "elevation")


def test_every_name_has_options_and_a_family() -> None:
    for name in NETWORKS:
        family, options = find_network(name)
        assert family.variants[name] == options


def test_the_table_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["model.networks", "cdnet-nir-compact", "random_forest"])
    main()
    header, line, *networks = capsys.readouterr().out.splitlines()
    assert (header.count("|"), line.count("|")) == (7, 7)
    assert networks == [described("cdnet-nir-compact"), "| `random_forest` | red green blue nir evi savi | - | - | - | - |"]


def test_an_unknown_network_is_not_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["model.networks", "cdnet-nil"])
    with pytest.raises(SystemExit):
        main()
    assert "cdnet-nir-compact" in capsys.readouterr().err


def test_a_tile_takes_some_time() -> None:
    *cells, milliseconds = described("cdnet-compact", timed=True).strip("| ").split(" | ")
    assert cells == described("cdnet-compact").strip("| ").split(" | ")
    assert float(milliseconds) > 1
