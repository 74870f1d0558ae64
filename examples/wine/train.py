"""Fit a classifier and keep it."""

import csv
import pickle

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

with open("train-features.csv") as file:
    rows = [list(map(float, row)) for row in csv.reader(file)]
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
model.fit([row[:-1] for row in rows], [int(row[-1]) for row in rows])
with open("model.pkl", "wb") as file:
    pickle.dump(model, file)
