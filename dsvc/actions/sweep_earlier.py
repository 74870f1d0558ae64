"""Go on with a sweep that broke off: which of its trials have come to their end, so that they need not run again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dsvc.errors import RequestError
from dsvc.pipelines.space import Trial, filled
from dsvc.runs.masking import Masker, secret_values
from dsvc.runs.summary import Summary, command_line


class NoSuchSweepError(RequestError):
    """No run has the label of the sweep that is to go on."""


class SweepGoesOnError(RequestError):
    """A trial of the sweep that is to go on is running."""


class EarlierTrials:
    """The trials of a sweep that succeeded or fell behind, by what they were given; each stands for one trial."""

    def __init__(
        self, rows: Iterable[Summary], names: Sequence[str], words: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Take those of the `rows` whose command is `words` with values for the parameters `names`."""
        self._left: list[tuple[Trial, Summary]] = []
        for row in sorted(rows, key=lambda row: (row.start, row.key)):
            trial = {name: row.params[name] for name in names if name in row.params}
            if len(trial) == len(names):
                command = filled(words, trial)
                if row.command == command_line(Masker(secret_values(environment, command)).words(command)):
                    self._left.append((trial, row))

    def trials(self) -> list[Trial]:
        """Return what they were given, the oldest first."""
        return [trial for trial, _ in self._left]

    def take(self, trial: Trial) -> Summary | None:
        """Return the run of one that was given the same, None where there is none left."""
        for at, (given, row) in enumerate(self._left):
            if _same(given, trial):
                del self._left[at]
                return row
        return None


def _same(first: Trial, second: Trial) -> bool:
    return all(type(first[name]) is type(value) and first[name] == value for name, value in second.items())
