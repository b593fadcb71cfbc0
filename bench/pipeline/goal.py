"""Goals: a figure of weft's, or its ratio to another's, and what it must be."""
import dataclasses
from statistics import geometric_mean, median

from bench.pipeline.tables import named
from bench.pipeline.text import number


@dataclasses.dataclass(frozen=True)
class Point:
    """One figure of a goal. `against`: whose; empty for a figure that stands for
    itself."""
    where: str
    against: str
    value: float
    low: float
    high: float
    wanted: float
    at_least: bool
    difference: bool = False    # weft's figure less the other's, not the ratio

    @property
    def met(self):
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted

    @property
    def unclear(self):
        """Rounds on both sides of what is wanted."""
        return self.low < self.wanted < self.high

    @property
    def rounds(self):
        return f"{number(self.low)} .. {number(self.high)}"

    @property
    def words(self):
        return self.where + (f", {self.against}" if self.against else "")

    @property
    def margin(self):
        """Below 1: missed by so much."""
        if self.difference:
            return 1 + self.wanted - self.value
        if not self.value:
            return float("inf")
        return self.value / self.wanted if self.at_least else self.wanted / self.value


@dataclasses.dataclass(frozen=True)
class Goal:
    what: str
    wanted: str
    points: list

    @property
    def worst(self):
        return min(self.points, key=lambda p: p.margin)

    @property
    def met(self):
        return sum(p.met for p in self.points)

    @property
    def verdict(self):
        if not self.points:
            return "not measured"
        missed = [p for p in self.points if not p.met]
        decides = missed or self.points
        words = "MISSED" if missed else "met"
        return words + (", unclear" if all(p.unclear for p in decides) else "")


def compared(results, case, figure, among, wanted, where="", at_least=False, who="weft"):
    """[that participant's figure over the best of `among`], or [] if that was not
    measured."""
    best = results.best(case, figure, among)
    # a goal with "at most" is about costs: of what is the better the more there is, the
    # cost is the inverse; "at least" is about speed
    inverse = results.more_is_better(case, figure) != at_least
    ratio = best and results.ratio(case, figure, who, best, inverse)
    where = where or named(results.cases[case])
    return [Point(where, results.label(best), ratio.value, ratio.low, ratio.high, wanted, at_least)] if ratio else []


def each(results, names, figures, among, wanted, **more):
    """compared() at each case. `figures`: {figure: words}"""
    return [point for name in names for figure, words in figures.items()
            for point in compared(results, name, figure, among, wanted,
                                  ", ".join(filter(None, [named(results.cases[name]), words])), **more)]


def absolute(results, names, figure, wanted, words="", scale=1):
    """Weft's figure itself at each case, which must not be more."""
    found = []
    for name in names:
        values = [value / scale for value in results.by_round(name, "weft", figure).values()]
        where = ", ".join(filter(None, [named(results.cases[name]), words]))
        found += [Point(where, "", median(values), min(values), max(values), wanted, False)] if values else []
    return found


def paired(results, name, figure, among):
    """(the best of `among`, {round: (weft's figure, the best one's)} of the rounds that
    both have)"""
    best = results.best(name, figure, among)
    ours, others = (results.by_round(name, who, figure) if who else {} for who in ("weft", best))
    return best, {at: (ours[at], others[at]) for at in sorted(ours.keys() & others.keys())}


def mean_over(results, names, figure, among, wanted, where):
    """The geometric mean of the ratios of all cases, and of those of each round."""
    ratios, rounds = [], {}
    for name in names:
        best, pairs = paired(results, name, figure, among)
        if pairs:
            ratios.append(results.ratio(name, figure, "weft", best).value)
        for at, (ours, others) in pairs.items():
            rounds.setdefault(at, []).append(ours / others)
    if not ratios:
        return []
    means = [geometric_mean(values) for values in rounds.values()]
    return [Point(f"{where}, {len(ratios)} cases", "", geometric_mean(ratios), min(means), max(means), wanted, False)]


def above(results, names, figure, among, wanted):
    """By how much weft's figure is above the best one of `among`."""
    points = []
    for name in names:
        best, pairs = paired(results, name, figure, among)
        if pairs:
            ours, others = zip(*pairs.values())
            gaps = [a - b for a, b in zip(ours, others)]
            points.append(Point(named(results.cases[name]), results.label(best), median(ours) - median(others),
                                min(gaps), max(gaps), wanted, False, True))
    return points
