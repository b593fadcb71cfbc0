"""What the benchmark runs on: CPUs to use, limits to keep, and a description for the
report."""
import os
import pathlib
import platform
import re
import resource
import subprocess


def read(path):
    """What a file says, or nothing if there is none."""
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def field(path, name, default=""):
    """The value of a `name: value` line, as /proc has them."""
    found = re.search(rf"^{name}\s*: *(.+)$", read(path), re.M)
    return found[1] if found else default


def siblings(cpu):
    """The CPUs that share a core with `cpu`, as the kernel writes them: the same text
    for the same core."""
    return read(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or str(cpu)


def usable_cpus():
    return sorted(os.sched_getaffinity(0))


def two_cpus():
    """Two CPUs on different cores if there are such, else any two, else the only
    one."""
    cpus = usable_cpus()
    elsewhere = [cpu for cpu in cpus if siblings(cpu) != siblings(cpus[0])]
    return [cpus[0], elsewhere[0]] if elsewhere else cpus[:2]


def descriptor_limit():
    """The hard limit: what a process may raise its own limit to."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return float("inf") if hard == resource.RLIM_INFINITY else hard


def compiler():
    try:
        return subprocess.run(["cc", "--version"], capture_output=True, text=True, timeout=10).stdout.split("\n")[0]
    except (OSError, subprocess.SubprocessError):
        return ""


def mitigations():
    """The names of the processor bugs that the kernel works around: they decide what a
    system call costs."""
    bugs = sorted(pathlib.Path("/sys/devices/system/cpu/vulnerabilities").glob("*"))
    return [bug.name for bug in bugs if read(bug).startswith("Mitigation")]


def describe():
    cpus = usable_cpus()
    flags = field("/proc/cpuinfo", "flags").split()
    memory_kib = int(field("/proc/meminfo", "MemTotal", "0 kB").split()[0])
    return {
        "processor": field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cpus_usable": len(cpus),
        "cores": len({siblings(cpu) for cpu in cpus}),
        "virtual_machine": "hypervisor" in flags,
        "memory_gib": round(memory_kib / 2**20, 1),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "compiler": compiler(),
        "mitigations": mitigations(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def sentence(m):
    """The description in a line or two, for people."""
    what = f"{m['processor']}, {m['cpus_usable']} usable CPUs on {m['cores']} cores"
    if m["virtual_machine"]:
        what += ", a virtual machine"
    return (f"{what}; {m['memory_gib']} GiB; Linux {m['kernel']} ({m['architecture']}), {m['libc']}; {m['compiler']}; "
            f"load average at the start {m['load_before']}")
