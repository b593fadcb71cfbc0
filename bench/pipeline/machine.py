"""What the benchmark runs on: CPUs to use, limits to keep, and a description for the report."""
import os
import platform
import resource
import subprocess


def first_line(path, default=""):
    try:
        with open(path) as f:
            return f.readline().strip()
    except OSError:
        return default


def field(path, name, default=""):
    """The value of a `name: value` line, as /proc has them."""
    try:
        with open(path) as f:
            for line in f:
                key, _, value = line.partition(":")
                if key.strip() == name:
                    return value.strip()
    except OSError:
        pass
    return default


def siblings(cpu):
    """The CPUs that share a core with `cpu`, as the kernel writes them: the same text for the same core."""
    return first_line(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", str(cpu))


def usable_cpus():
    return sorted(os.sched_getaffinity(0))


def two_cpus():
    """Two CPUs on different cores if there are such, else any two, else the only one."""
    cpus = usable_cpus()
    for other in cpus[1:]:
        if siblings(other) != siblings(cpus[0]):
            return [cpus[0], other]
    return cpus[:2]


def descriptor_limit():
    """The hard limit: what a process may raise its own limit to."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return float("inf") if hard == resource.RLIM_INFINITY else hard


def compiler():
    try:
        out = subprocess.run(["cc", "--version"], capture_output=True, text=True, timeout=10).stdout
        return out.splitlines()[0] if out else ""
    except (OSError, subprocess.SubprocessError):
        return ""


def mitigations():
    """The names of the processor bugs that the kernel works around: they decide what a system call costs."""
    folder = "/sys/devices/system/cpu/vulnerabilities"
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [name for name in names if first_line(f"{folder}/{name}").startswith("Mitigation")]


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
