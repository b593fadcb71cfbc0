"""How a participant looks in every plot: the same colour and mark, weft above all, floors grey and dashed."""

LOOKS = {       # colour, mark, line
    "weft": ("#dc2626", "o", "-"),
    "weft-wait": ("#f87171", "o", ":"),
    "tokio": ("#1d4ed8", "s", "-"),
    "tokio-unstable": ("#60a5fa", "D", "-"),
    "go": ("#0d9488", "^", "-"),
    "libuv": ("#65a30d", "v", "-"),
    "asio": ("#7c3aed", "P", "-"),
    "asyncio": ("#ca8a04", "X", "-"),
    "uvloop": ("#db2777", "d", "-"),
    "onetbb": ("#0891b2", "h", "-"),
    "rayon": ("#92400e", "<", "-"),
    "epoll": ("#1e293b", "_", "--"),
    "uring": ("#94a3b8", "_", "--"),
}


def colour(who):
    return LOOKS.get(who, ("#000000", ".", "-"))[0]


def style(who):
    """For a line with marks. weft is drawn last, so that nothing hides it."""
    shade, mark, line = LOOKS.get(who, ("#000000", ".", "-"))
    own = who == "weft"
    return {"color": shade, "marker": mark, "linestyle": line, "markersize": 5.5 if own else 4.5,
            "linewidth": 2.4 if own else 1.1, "zorder": 5 if own else 2}
