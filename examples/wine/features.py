"""Choose what a model sees of a wine: alcohol and acids alone, or with --colour the colour of it too."""

import csv
import sys

COLUMNS = [0, 1, 2]
if "--colour" in sys.argv:
    COLUMNS += [9, 10, 11]

for name in ("train", "test"):
    with open(f"{name}.csv") as file:
        rows = [[*(row[column] for column in COLUMNS), row[-1]] for row in csv.reader(file)]
    with open(f"{name}-features.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
