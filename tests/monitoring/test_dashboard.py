"""The dashboard against the schema of Grafana's own types, see grafana/README.md beside this."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest

from dsvc.monitoring.dashboard import dashboard, queries
from dsvc.monitoring.rules import Watch

SCHEMA = json.loads((Path(__file__).parent / "grafana" / "dashboard.schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
WATCHES = [Watch("churn"), Watch('team/"odd" \\ name', "blue-green"), Watch("churn", psi=0.05, latency=0.1)]


@pytest.mark.parametrize("watch", WATCHES, ids=["plain", "odd", "strict"])
def test_it_is_what_grafana_describes(watch):
    assert [error.message for error in VALIDATOR.iter_errors(dashboard(watch))] == []


def test_the_schema_refuses_what_is_not():
    """Otherwise the test above would say nothing."""
    for change in (
        lambda found: found["panels"][0].update(type="speedometer"),
        lambda found: found["panels"][0]["options"].pop("wideLayout"),
        lambda found: found["panels"][0]["fieldConfig"]["defaults"].update(colour="red"),
        lambda found: found["panels"][0]["targets"][0].pop("expr"),
        lambda found: found["templating"]["list"][0].update(type="guess"),
        lambda found: found.update(schemaVersion="39"),
    ):
        found = copy.deepcopy(dashboard(WATCHES[0]))
        change(found)
        assert not VALIDATOR.is_valid(found)


def test_panels_stand_beside_each_other():
    found = dashboard(WATCHES[0])
    places = [panel["gridPos"] for panel in found["panels"]]
    taken = [(p["x"] + dx, p["y"] + dy) for p in places for dx in range(p["w"]) for dy in range(p["h"])]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    assert len(queries(found)) == len(set(queries(found)))
