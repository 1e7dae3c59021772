# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures as rows: a median, how far the rounds lie apart, and the goal."""
import math
import operator
import statistics
import time
from dataclasses import dataclass


@dataclass
class Row:
    title: str
    values: list
    unit: str = ''
    goal: float = None
    at_most: bool = False
    sure: bool = False  # of many short rounds: how sure the median is

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def spread(self):
        """Of all rounds, or of 19 in 20 medians that such rounds would give."""
        ordered, skip = sorted(self.values), 0
        if self.sure:  # ranks of a sign test, by the normal distribution
            n = len(ordered)
            skip = max(0, math.floor((n - 1.96 * math.sqrt(n)) / 2))
        return ordered[skip], ordered[-1 - skip]

    @property
    def verdict(self):
        if self.goal is None:
            return ''
        good = operator.le if self.at_most else operator.ge
        word = 'met' if good(self.median, self.goal) else 'MISSED'
        return f'{"<=" if self.at_most else ">="} {self.goal:g}: {word}'

    def __str__(self):
        spread = ''
        if len(self.values) > 1:
            spread = ' .. '.join(number(v, self.sure) for v in self.spread)
        return (f'{self.title:48} {number(self.median, self.sure):>9} '
                f'{self.unit:7}'
                f'{spread:22} {self.verdict}').rstrip()


def number(value, sure=False):
    if value == int(value) and abs(value) < 100 and not sure:
        return str(int(value))
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    digits += sure
    return f'{value:.{digits}f}'


def scaled(values, scale):
    return [v * scale for v in values]


def ratio(title, values, others, goal=None, **kw):
    """Round by round: what disturbs one of a round disturbs the other."""
    return Row(title, [v / o for v, o in zip(values, others)], 'x', goal, **kw)


def alternate(measures, rounds, rest=0):
    """{name: function} into {name: [value of each round]}, in turns. @rest:
    seconds before each in which the machine ends what the last one left to it."""
    found = {name: [] for name in measures}
    for _ in range(rounds):
        for name, function in measures.items():
            time.sleep(rest)
            found[name].append(function())
    return found
