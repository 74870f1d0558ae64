"""Write data/rentals.csv: hours with their weather and the bicycles rented, the same on every machine."""

import argparse
import csv
import math
import pathlib
import random


def rentals(hour: int, weekday: int, temperature: float, rain: float) -> float:
    commuters = 140 * (math.exp(-((hour - 8) ** 2) / 4) + math.exp(-((hour - 17) ** 2) / 6))
    strollers = 90 * math.exp(-((hour - 14) ** 2) / 18)
    mood = 1 / (1 + math.exp(-(temperature - 9) / 4))
    return (strollers if weekday >= 5 else commuters + strollers / 3) * mood * (1 - 0.7 * rain)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    rows = parser.parse_args().rows
    chance = random.Random(2026)
    with pathlib.Path(__file__).with_name("rentals.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["hour", "weekday", "temperature", "rain", "rented"])
        for index in range(rows):
            hour, day = index % 24, index // 24
            season = 11 - 10 * math.cos(2 * math.pi * day / 365)
            temperature = season + 4 * math.sin(math.pi * (hour - 8) / 12) + chance.gauss(0, 2.5)
            rain = max(0.0, min(1.0, chance.gauss(-0.3, 0.5)))
            count = max(0, round(rentals(hour, day % 7, temperature, rain) + chance.gauss(0, 6)))
            writer.writerow([hour, day % 7, f"{temperature:.1f}", f"{rain:.2f}", count])
    print(f"{rows} hours in data/rentals.csv")


if __name__ == "__main__":
    main()
