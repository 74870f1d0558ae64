"""Fit rentals by a linear model over random waves of the inputs, and write the weights and the error."""

import array
import csv
import json
import math
import pathlib
import random
import tomllib

HERE = pathlib.Path.cwd()


def inputs(row: dict[str, str]) -> list[float]:
    angle = 2 * math.pi * int(row["hour"]) / 24
    weekend = 1.0 if int(row["weekday"]) >= 5 else 0.0
    return [math.sin(angle), math.cos(angle), weekend, float(row["temperature"]) / 15, float(row["rain"])]


def main() -> None:
    params = tomllib.loads((HERE / "params.toml").read_text())
    size = params["model"]["features"]
    chance = random.Random(params["model"]["seed"])
    waves = [([chance.gauss(0, 1.2) for _ in range(5)], chance.uniform(0, 2 * math.pi)) for _ in range(size)]

    def features(point: list[float]) -> list[float]:
        return [math.cos(sum(a * b for a, b in zip(wave, point)) + shift) for wave, shift in waves]

    with (HERE / "data" / "rentals.csv").open(newline="") as file:
        rows = [(features(inputs(row)), float(row["rented"])) for row in csv.DictReader(file)]
    chance.shuffle(rows)
    held_out = len(rows) // 5
    testing, training = rows[:held_out], rows[held_out:]

    weights = [0.0] * size
    bias = sum(rented for _, rented in training) / len(training)
    step = params["training"]["rate"]
    for _ in range(params["training"]["passes"]):
        for point, rented in training:
            error = rented - bias - sum(w * x for w, x in zip(weights, point))
            change = step * error * 2 / size
            weights = [w + change * x for w, x in zip(weights, point)]
            bias += change

    errors = [abs(rented - bias - sum(w * x for w, x in zip(weights, point))) for point, rented in testing]
    metrics = {"rows": len(rows), "mean_error": round(sum(errors) / len(errors), 2)}
    (HERE / "models").mkdir(exist_ok=True)
    (HERE / "models" / "demand.bin").write_bytes(array.array("f", [bias, *weights]).tobytes())
    (HERE / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(f"mean error {metrics['mean_error']} bicycles over {len(testing)} hours kept aside")


if __name__ == "__main__":
    main()
