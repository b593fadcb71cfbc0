"""How far a long run has come."""
import shutil
import sys
import time


def say(words):
    print(words, file=sys.stderr, flush=True)


class Progress:
    """One line on stderr: rewritten in a terminal, else a new one for each run."""

    def __init__(self, count, estimate_s):
        self.count, self.left_s, self.done = count, estimate_s, 0
        self.tty = sys.stderr.isatty()
        self.began = time.monotonic()

    def say(self, words):
        end = "\n" if not self.tty else ""
        start = "\r\033[K" if self.tty else ""
        width = shutil.get_terminal_size().columns - 1 if self.tty else 200
        print(start + words[:width], end=end, file=sys.stderr, flush=True)

    def remark(self, words):
        """A line that stays."""
        self.say(words)
        if self.tty:
            print(file=sys.stderr)

    def step(self, estimate_s, words):
        self.done += 1
        self.left_s -= estimate_s
        gone_s, left_s = time.monotonic() - self.began, max(self.left_s, 0)
        self.say(f"[{self.done}/{self.count}] {gone_s:4.0f} s, about {left_s:.0f} s left   {words}")

    def finish(self):
        if self.tty:
            self.say("")
