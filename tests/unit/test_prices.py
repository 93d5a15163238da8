"""The catalog's prices of instances, and what a chip of one costs an hour."""

from __future__ import annotations

import pytest

from trnbench.specs.catalog import load_catalog, read_toml
from trnbench.specs.figure import CatalogError
from trnbench.specs.prices import _FILE, KINDS, find_price, load_prices


def test_a_chip_costs_its_part_of_the_instance():
    chips = {one["type"]: one["chips"] for one in read_toml(_FILE)["instance"]}
    prices = load_prices()
    described = [price for price in prices if price.instance in chips]

    assert len(described) > 15
    for price in described:
        assert price.usd_per_chip_hour == pytest.approx(
            price.usd_per_hour / chips[price.instance], rel=1e-3
        )
    assert {price.kind for price in prices} == set(KINDS)
    assert {price.chip for price in prices} - {None} <= set(load_catalog().chips)


def test_the_instance_in_use_has_its_own_price():
    own, elsewhere = find_price("trainium1", "trn1n.32xlarge"), find_price("trainium1")

    assert own.instance == "trn1n.32xlarge"
    assert own.usd_per_chip_hour == pytest.approx(1.5488)
    assert elsewhere.usd_per_chip_hour == pytest.approx(1.3438)
    # Whoever rents on demand can't have a block's price.
    assert elsewhere.kind == "on_demand"
    # The price of another instance is another price.
    assert find_price("trainium1", "no.such") is None
    assert find_price("h100-sxm", "p5.4xlarge").instance == "p5.4xlarge"


def test_what_nobody_sells_has_no_price():
    assert find_price("trainium4") is None
    assert find_price("no such chip") is None


def test_a_price_says_what_it_is_of():
    assert find_price("trainium2").words == (
        "2.235 USD a chip hour: trn2.48xlarge, listed as on demand, us-east-2, 2025-11-30"
    )


ENTRY = {
    "instance": '"trn9.xlarge"',
    "usd_per_hour": "4.0",
    "usd_per_chip_hour": "2.0",
    "kind": '"on_demand"',
    "region": '"us-east-1"',
    "source": '"somebody"',
    "date": '"2026-11-01"',
    "status": '"official"',
}


def written(folder, **changed):
    path = folder / "instances.toml"
    lines = [f"{name} = {value}" for name, value in (ENTRY | changed).items() if value]
    path.write_text("\n".join(["[[price]]", *lines, ""]))
    return path


def test_a_price_of_an_instance_that_nobody_described_has_no_chip(tmp_path):
    (price,) = load_prices(written(tmp_path))

    assert (price.chip, price.usd_per_chip_hour) == (None, 2.0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"usd_per_hour": ""}, "field 'usd_per_hour': None; wanted US dollars above 0"),
        ({"usd_per_chip_hour": "0"}, "field 'usd_per_chip_hour': 0; wanted US dollars"),
        ({"usd_per_hour": "true"}, "field 'usd_per_hour': True; wanted US dollars"),
        ({"kind": '"stolen"'}, "field 'kind': 'stolen'; wanted one of on_demand, "),
        ({"source": '""'}, "field 'source': ''; wanted text"),
        ({"date": "2026-11-01"}, "field 'date': datetime.date(2026, 11, 1); wanted text"),
    ],
)
def test_a_broken_price_is_named(tmp_path, changed, words):
    with pytest.raises(CatalogError) as raised:
        load_prices(written(tmp_path, **changed))

    assert "instances.toml: price 1, " in str(raised.value)
    assert words in str(raised.value)
