"""Split the raw table into one to train on and one to test with."""

import csv
import random

with open("raw/wine.csv") as file:
    rows = list(csv.reader(file))[1:]
random.Random(7).shuffle(rows)
for name, part in (("train", rows[: len(rows) * 2 // 3]), ("test", rows[len(rows) * 2 // 3 :])):
    with open(f"{name}.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(part)
print(len(rows), "wines")
