"""From a run of echo-load to figures."""
import statistics


def dig(result, *path):
    """result[a][b]..., or None where something is missing."""
    for key in path:
        if not isinstance(result, dict) or key not in result:
            return None
        result = result[key]
    return result


def per_message(kind):
    """The number of system calls of a kind for each message."""
    def figure(result):
        calls, messages = dig(result, "syscalls", kind), result["messages"]
        return None if calls is None or not messages else calls / messages
    return figure


def added_kib(result):
    """Resident memory and page tables that a connection adds, from before the first one
    to the end of the run."""
    before, after = dig(result, "memory", "before"), dig(result, "memory", "end")
    count = result.get("idle", 0) + result.get("connections", 0)
    return sum(after[key] - before[key] for key in after) / count if before and count else None


def relayed_mb_per_cpu(result):
    """What a relay moves in a CPU-second: a message passes it twice."""
    us = dig(result, "server", "cpu_us_per_message")
    return 2 * result["size"] / us if us else None


# Every figure of a run, by name. What a run does not have is None.
FIGURES = {
    "rate": lambda r: dig(r, "messages_per_s"),
    "cpu_us": lambda r: dig(r, "server", "cpu_us_per_message"),
    "per_cpu": lambda r: 1e6 / us if (us := dig(r, "server", "cpu_us_per_message")) else None,
    "mb_per_cpu": relayed_mb_per_cpu,
    "client_us": lambda r: dig(r, "client", "cpu_us_per_message"),
    "cpus": lambda r: None if dig(r, "server", "cpu_s") is None else r["server"]["cpu_s"] / r["seconds"],
    "switches": lambda r: dig(r, "server", "switches_per_message"),
    "p50": lambda r: dig(r, "latency_us", "p50"),
    "p99": lambda r: dig(r, "latency_us", "p99"),
    "p999": lambda r: dig(r, "latency_us", "p999"),
    "burst": lambda r: dig(r, "burst_us", "p50"),
    "neighbours": lambda r: dig(r, "neighbours", "per_s") or None,      # without neighbours: none
    "late_p99": lambda r: dig(r, "late_us", "p99"),
    "syscalls": per_message("total"),
    "futex": per_message("futex"),
    "served_kib": added_kib,
}


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None
