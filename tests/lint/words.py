#!/usr/bin/env python3
"""Plain English in comments and Markdown:

- at most LIMIT of WORDS in 1000 words: a thread is "it", and a
  sentence names its subject;
- no PHRASES at all;
- of each class of files, nine comment lines in ten end at column WIDTH or before it
  (trailing comments may use the 120 columns of code).

`words.py ROOT --total` prints the figures of the whole tree, `--total PATH...` of the
files below PATH, and `--hits PATH...` each hit in them.
"""
import re
import sys

from lint import ALL, Lint

LIMIT = 0.5
WIDTH = 88
FOLDERS = ALL + ("docs", "scripts", "cmake")
WORDS = re.compile(r"\b([Ww]ho(ever|m)?|[Nn]obody|[Ss]omebody|[Aa]nybody|[Hh]e|[Hh]im|[Hh]is)\b")
PHRASES = re.compile(r"\bfor ever\b|(?<!\b[Tt]here )\b(is|are|was|were) no\b(?! (more|longer|later|less)\b)")
CLASSES = {
    "C": (".c", ".h", ".cpp", ".hpp", ".S", ".pml"),
    "Markdown": (".md",),
    "scripts": (".py", ".sh", ".cmake", ".txt", ""),
}
# A string or a character, which is skipped, or a comment.
C_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(//[^\n]*|/\*.*?\*/)', re.S)
HASH_TOKEN = re.compile(r'"""(.*?)"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(?:^|(?<=\s))(#[^\n]*)', re.S | re.M)
CODE_SPAN = re.compile(r"`[^`]*`")


def class_of(path):
    return next((name for name, suffixes in CLASSES.items() if path.suffix in suffixes), None)


def prose_of_markdown(text):
    """Yields (line, text, width): no fenced code; tables and headings have no width."""
    fenced = False
    for at, line in enumerate(text.splitlines(), 1):
        fenced ^= line.startswith("```")
        if not fenced:
            yield at, CODE_SPAN.sub("", line), len(line) if not line.startswith(("|", "#")) else 0


def prose_of_code(text, token):
    """Yields (line, comment, width): 0 if the line holds code, too."""
    lines = text.splitlines()
    for found in token.finditer(text):
        comment = next((group for group in found.groups() if group), "")
        first = text.count("\n", 0, found.start()) + 1
        for at, part in enumerate(comment.splitlines(), first):
            whole = lines[at - 1].strip()
            yield at, part, len(lines[at - 1]) if whole.startswith(("//", "#", '"""')) or at > first else 0


def prose(path, text):
    kind = class_of(path)
    if kind == "Markdown":
        return prose_of_markdown(text)
    return prose_of_code(text, C_TOKEN if kind == "C" else HASH_TOKEN)


class Figures:
    """What was counted in some files. Hits are (path, line, word)."""

    def __init__(self):
        self.words = 0
        self.hits, self.phrases = [], []
        self.widths = {name: [] for name in CLASSES}

    def add(self, path, text):
        tail, last = "", 0
        for at, line, width in prose(path, text):
            self.words += len(re.findall(r"[A-Za-z][A-Za-z']*", line))
            self.hits += [(path, at, hit.group()) for hit in WORDS.finditer(line)]
            joined = (tail if at == last + 1 else "") + " " + line.lstrip("/#* ")
            self.phrases += [(path, at, hit.group()) for hit in PHRASES.finditer(joined)]
            tail, last = "".join(line.split()[-1:]), at
            if width:
                self.widths[class_of(path)].append((width, path, at))

    def rate(self):
        return 1000 * len(self.hits) / max(1, self.words)

    def width(self, name):
        widths = sorted(width for width, *_ in self.widths[name])
        return widths[len(widths) * 9 // 10] if widths else 0


def texts(lint):
    """Yields (path, text) of the files of a class; scripts are known by "#!"."""
    suffixes = [suffix for names in CLASSES.values() for suffix in names]
    top = [path.relative_to(lint.root) for path in sorted(lint.root.glob("[!.]*.*")) if path.suffix in suffixes]
    for path in [*top, *lint.files(FOLDERS, suffixes)]:
        text = (lint.root / path).read_text(errors="replace")
        if path.suffix or text.startswith("#!"):
            yield path, text


def count(lint, wanted):
    figures = Figures()
    for path, text in texts(lint):
        if wanted(str(path)):
            figures.add(path, text)
    return figures


def check(lint):
    figures = count(lint, lambda path: True)
    if figures.rate() > LIMIT:
        for path, at, word in figures.hits:
            lint.report(path, at, f'"{word}": name the subject, or say "it"')
    for path, at, phrase in figures.phrases:
        lint.report(path, at, f'"{phrase}": say "is not a", or "indefinitely"')
    for name, widths in figures.widths.items():
        if figures.width(name) > WIDTH:
            for width, path, at in widths:
                if width > WIDTH:
                    lint.report(path, at, f"a comment of {width} columns, too many of which are above {WIDTH}")


def print_figures(figures):
    widths = ", ".join(f"{name} {figures.width(name)}" for name in CLASSES)
    print(f"{len(figures.hits)} in {figures.words} words: {figures.rate():.2f} a thousand; "
          f"{len(figures.phrases)} phrases; p90 of the width: {widths}")


def main():
    tree = Lint()
    option, folders = "".join(sys.argv[2:3]), tuple(sys.argv[3:])
    if option:
        figures = count(tree, lambda path: path.startswith(folders) if folders else True)
        for path, at, word in figures.hits + figures.phrases if option == "--hits" else []:
            print(f"{path}:{at}: {word}")
        print_figures(figures)
        return
    check(tree)
    tree.finish(f"at most {LIMIT} of who, nobody and he in 1000 words")


if __name__ == "__main__":
    main()
