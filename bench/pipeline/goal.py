"""Goals: a figure of weft's, or its ratio to another's, and what it must be."""
import dataclasses

from bench.pipeline.results import median


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
    unit: str = ""
    note: str = ""

    @property
    def met(self):
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted

    @property
    def unclear(self):
        """Rounds on both sides of what is wanted."""
        return self.low < self.wanted < self.high

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


def compared(results, case, figure, among, wanted, where, at_least=False, who="weft"):
    """[that participant's figure over the best of `among`], or [] if that was not
    measured."""
    best = results.best(case, figure, among)
    # a goal with "at most" is about costs: of what is the better the more there is, the
    # cost is the inverse
    inverse = not at_least and results.more_is_better(case, figure)
    ratio = best and results.ratio(case, figure, who, best, inverse)
    if not ratio:
        return []
    return [Point(where, results.label(best), ratio.value, ratio.low, ratio.high, wanted, at_least)]


def absolute(results, case, figure, wanted, where, scale=1, **more):
    """[weft's figure itself, which must not be more], or [] if that was not
    measured."""
    values = [value / scale for value in results.by_round(case, "weft", figure).values()]
    return [Point(where, "", median(values), min(values), max(values), wanted, False, **more)] if values else []
