#!/usr/bin/env python3
"""The labels of synchronising edges are a catalogue: one that code refers to ([D1]) is
explained once at the head of a file ("//   D1  every store of tail ..."), every
explained one is referred to, and docs/memory-model.md lists them all.
"""
import re

from lint import LAYERS, Lint

USE = re.compile(r"\[([A-Z]\d+)\]")
DEFINITION = re.compile(r"^\s*//\s+(?:Edge )?([A-Z]\d+)(?:  |:)")
CATALOGUE = "docs/memory-model.md"


def check(lint):
    used, defined = {}, {}
    for path in lint.files(LAYERS):
        for at, line in enumerate(lint.lines(path), 1):
            definition = DEFINITION.match(line)
            if definition and definition.group(1) in defined:
                lint.report(path, at, f"{definition.group(1)} is explained in {defined[definition.group(1)][0]}, too")
            if definition:
                defined.setdefault(definition.group(1), (path, at))
            for label in USE.findall(line):
                used.setdefault(label, (path, at))

    catalogue = set(re.findall(r"\b[A-Z]\d+\b", (lint.root / CATALOGUE).read_text()))
    for label, place in used.items():
        if label not in defined:
            lint.report(*place, f"[{label}] is explained nowhere")
    for label, place in defined.items():
        if label not in used:
            lint.report(*place, f"nothing refers to {label}")
        if label not in catalogue:
            lint.report(*place, f"{label} is not in {CATALOGUE}")


if __name__ == "__main__":
    tree = Lint()
    check(tree)
    tree.finish("the labels of edges agree with each other and with the catalogue")
