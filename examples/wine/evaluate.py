"""Measure the model on wines that it has not seen."""

import csv
import json
import pickle

import dsvc

with open("model.pkl", "rb") as file:
    model = pickle.load(file)
with open("test-features.csv") as file:
    rows = [list(map(float, row)) for row in csv.reader(file)]
accuracy = float(model.score([row[:-1] for row in rows], [int(row[-1]) for row in rows]))
dsvc.metric("accuracy", accuracy)
with open("scores.json", "w") as file:
    json.dump({"accuracy": accuracy}, file)
print(f"accuracy {accuracy:.3f}")
