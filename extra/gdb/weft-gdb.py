"""weft's tasks in gdb, of a running program and of a core.

    weft tasks [MAX]    the tasks: number, name, state, what each waits for
    weft bt ID [...]    the stack of one; what follows is for gdb's own bt: full, 5, -5.
                        ID: its number, or its name, if that is one word
    weft bt all         all stacks; tasks with the same one are one group
    weft waits          who waits for whom: locks, joins, scopes; rings of these
    weft task ID        gdb's own frame, up, info locals, print see that task's stack as
                        the callers of frame 0; without ID: that ends

Needs no debug info of weft's: the library has tables that say where things lie
(runtime/see/layout.c). Nothing in the program is called, and nothing of it is written:
gdb is told by its interface for unwinders where a parked task has its registers.
"""
import collections
import os
import re
import struct

import gdb
import gdb.unwinder

MAGIC = b"weft layout\n"
VERSION = 1
LINES = 100     # of tasks that are alike: the others are counted
FRAMES = 64     # of a stack that is compared
NAME_MAX = 256
PARK = "wf_park"


class Missing(gdb.GdbError):
    """There is nothing of weft's here."""


# --- memory ---------------------------------------------------------------------------

def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def word(address):
    return struct.unpack("<Q", read(address, 8))[0]


def half(address):
    return struct.unpack("<I", read(address, 4))[0]


def text(address, known):
    """The string at an address. `known` spares reading one twice."""
    if address not in known:
        size = NAME_MAX
        while size and address not in known:
            try:
                known[address] = read(address, size).split(b"\0")[0].decode(errors="replace")
            except gdb.MemoryError:
                size //= 2
        known.setdefault(address, "?")
    return known[address] if address else None


# --- where things lie -----------------------------------------------------------------

def find_symbol():
    try:
        return int(gdb.parse_and_eval("(unsigned long)&weft_debug_layout"))
    except gdb.error:
        return None


def find_magic():
    """For a program that is stripped of the symbol: the sections that may have it."""
    for line in gdb.execute("info files", to_string=True).splitlines():
        m = re.match(r"\s*0x([0-9a-f]+) - 0x([0-9a-f]+) is \.(data\.rel\.ro|data|rodata)\b", line)
        if not m:
            continue
        low, high = int(m[1], 16), int(m[2], 16)
        try:
            found = gdb.selected_inferior().search_memory(low, high - low, MAGIC + b"\0" * (16 - len(MAGIC)))
        except gdb.error:
            continue
        if found is not None:
            return int(found)
    return None


class Layout:
    """Names and numbers, from the tables of the library."""

    def __init__(self):
        root = find_symbol() or find_magic()
        if not root:
            raise Missing("There is no weft in this program, or it is older than its debugger's script.")
        magic, version, parts, self.runtimes = struct.unpack("<16sIIQ", read(root, 32))
        if not magic.startswith(MAGIC) or version != VERSION:
            raise Missing("weft's tables are not of version %d: is the program running?" % VERSION)
        self.of = {}
        for part in range(parts):
            self.add(word(root + 32 + 8 * part))
        self.saved = {k[6:]: v for k, v in self.of.items() if k.startswith("frame.") and k != "frame.size"}
        self.pc = "rip" if "rip" in self.saved else "pc"
        self.sp = "rsp" if self.pc == "rip" else "sp"

    def add(self, at):
        while True:
            name, value = struct.unpack("<24sq", read(at, 32))
            name = name.split(b"\0")[0].decode()
            if not name:
                return
            self.of[name] = value
            at += 32

    def __getitem__(self, name):
        return self.of[name]


# --- what there is --------------------------------------------------------------------

Task = collections.namedtuple("Task", "at word sp stack worker id name what on fn")
Worker = collections.namedtuple("Worker", "at index tid current sched")
FIELDS = [f for f in Task._fields if f not in ("at", "word")]


class World:
    """The runtimes of the program, as they are now."""

    def __init__(self):
        self.layout = Layout()
        self.strings = {0: None}
        self.workers, self.tasks, self.pools = [], [], []
        for sched in self.scheds():
            self.look_at_workers(sched)
            self.look_at_tasks(sched)
        self.by_at = {t.at: t for t in self.tasks}
        self.by_id = {t.id: t for t in self.tasks}
        self.threads = self.match_threads()
        self.running = self.find_running()
        self.tasks.sort(key=lambda t: t.id)

    def scheds(self):
        rt = word(self.layout.runtimes)
        while rt:
            sched = word(rt + self.layout["rt.sched"])
            if sched:
                yield sched
            rt = word(rt + self.layout["rt.following"])

    def look_at_workers(self, sched):
        of = self.layout
        first = word(sched + of["sched.workers"])
        for i in range(half(sched + of["sched.nworkers"])):
            at = first + i * of["worker.size"]
            self.workers.append(Worker(at, i, half(at + of["worker.tid"]), self.current_of(at), sched))

    def current_of(self, worker):
        thread = word(worker + self.layout["worker.thread"])
        try:
            return word(thread + self.layout["thread.current"]) if thread else 0
        except gdb.MemoryError: # the runtime has been stopped: the thread is gone
            return 0

    def look_at_tasks(self, sched):
        of = self.layout
        size, slab = word(sched + of["sched.header_size"]), word(sched + of["sched.slabs"])
        while slab:
            first, count = slab + of["slab.memory"], word(slab + of["slab.headers"])
            self.pools.append((first, first + count * size, size))
            self.look_at_headers(first, count, size)
            slab = word(slab + of["slab.older"])

    def look_at_headers(self, first, count, size):
        of, memory = self.layout, read(first, count * size)
        fields = [of["task." + f] for f in FIELDS]
        for i in range(count):
            bits = struct.unpack_from("<I", memory, i * size + of["task.word"])[0]
            if bits & of["word.live"]:
                values = [struct.unpack_from("<Q", memory, i * size + f)[0] for f in fields]
                task = Task(first + i * size, bits, *values)
                self.tasks.append(task._replace(name=text(task.name, self.strings), what=text(task.what, self.strings)))

    def match_threads(self):
        """{worker's address: gdb's thread}."""
        tids = {w.tid: w.at for w in self.workers}
        return {tids[t.ptid[1]]: t for t in gdb.selected_inferior().threads() if t.is_valid() and t.ptid[1] in tids}

    def find_running(self):
        """{task's address: worker}. In the midst of a switch the stack that the thread is
        on tells: what the worker says that it runs may not have begun to."""
        running = {}
        for w in self.workers:
            if w.current not in self.by_at:
                continue
            sp = stack_pointer(self.threads.get(w.at), self.layout.sp)
            on = w.current
            for task in self.tasks:
                if task.worker == w.at and task.at != w.current and self.has_on_stack(task, sp):
                    on = task.at
            running[on] = w
        return running

    def bounds(self, task):
        if not task.stack:
            return 0, 0
        return word(task.stack + self.layout["stack.base"]), word(task.stack + self.layout["stack.top"])

    def has_on_stack(self, task, sp):
        # only one that a worker or a queue has can be on its stack
        if not sp or not task.stack or not task.word & self.layout["word.active"]:
            return False
        low, high = self.bounds(task)
        return low <= sp <= high

    def task_at(self, address):
        """The living task in whose header the address lies."""
        for low, high, size in self.pools:
            if low <= address < high:
                return self.by_at.get(address - (address - low) % size)
        return None

    def is_saved(self, task):
        return task.worker and task.stack and task.at not in self.running


def stack_pointer(thread, register):
    if not thread:
        return 0
    with Selected(thread):
        return int(gdb.newest_frame().read_register(register)) & (1 << 64) - 1


class Selected:
    """Another thread, for a while."""

    def __init__(self, thread):
        self.thread = thread

    def __enter__(self):
        self.before = gdb.selected_thread()
        self.thread.switch()

    def __exit__(self, *ignored):
        if self.before and self.before.is_valid():
            self.before.switch()


# --- in words -------------------------------------------------------------------------

def name_of(task):
    return "task %d" % task.id + (" '%s'" % task.name if task.name else "")


def symbol_at(pc):
    said = gdb.execute("info symbol %#x" % pc, to_string=True).split(" in section")[0].replace(" + ", "+").strip()
    if not said.startswith("No symbol"):
        return said
    return "%#x in %s" % (pc, os.path.basename(gdb.solib_name(pc) or "the program"))


def thing_at(address):
    said = gdb.execute("info symbol %#x" % address, to_string=True)
    return "%#x" % address + ("" if said.startswith("No symbol") else " <%s>" % said.split(" in section")[0])


def state_of(world, task):
    of = world.layout
    if task.at in world.running:
        return "running on worker %d" % world.running[task.at].index
    if not task.worker:
        return "new, to begin at %s" % symbol_at(task.fn)
    state = "parked" if not task.word & of["word.active"] else "woken" if task.what else "queued"
    return state + (" (cancelled)" if task.word & of["word.cancelled"] else "")


def holder_of(world, mutex):
    return word(mutex) & ~world.layout["mutex.marks"]


def target_of(world, task):
    """The task that this one waits for, if it is one."""
    if not task.what or task.at in world.running:
        return None
    if task.what == "mutex":
        return world.by_at.get(holder_of(world, task.on))
    return world.task_at(task.on) if task.what == "future" else None


def wait_of(world, task):
    if not task.what or task.at in world.running:
        return ""
    target = target_of(world, task)
    if task.what == "mutex":
        holder = name_of(target) if target else "no task that is alive"
        return "waits for mutex %s held by %s" % (thing_at(task.on), holder)
    if target:
        return "waits for the end of " + name_of(target)
    if task.what == "scope":
        return "waits for scope %#x, %d children left" % (task.on, half(task.on + world.layout["scope.alive"]))
    if task.what == "sleep":
        return "waits for a sleep to end"
    if task.on >> 32:
        return "waits for %s %s" % (task.what, thing_at(task.on))
    return "waits for %s of descriptor %d" % (task.what, task.on) if task.what.startswith("weft_") else \
        "waits for %s %d" % (task.what, task.on)


def line_of(world, task):
    return "%s: %s" % (name_of(task), ", ".join(filter(None, [state_of(world, task), wait_of(world, task)])))


# --- stacks ---------------------------------------------------------------------------

class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class TaskUnwinder(gdb.unwinder.Unwinder):
    """Says that the caller of one frame, a thread's frame 0, is where a task was left."""

    def __init__(self):
        super().__init__("weft")
        self.enabled = False

    def enter(self, layout, task):
        self.leave()
        frame = gdb.newest_frame()
        self.layout, self.task = layout, task
        self.at = [int(frame.read_register(r)) for r in (layout.sp, layout.pc)]
        self.enabled = True
        gdb.invalidate_cached_frames()

    def leave(self):
        if self.enabled:
            self.enabled = False
            gdb.invalidate_cached_frames()

    def __call__(self, pending):
        layout, sp = self.layout, self.task.sp
        if [int(pending.read_register(r)) for r in (layout.sp, layout.pc)] != self.at:
            return None
        registers = {name: word(sp + offset) for name, offset in layout.saved.items()}
        registers.setdefault(layout.sp, sp + layout.of.get("frame.size", 0))
        here = pending.read_register(layout.pc)
        # below all frames of the task: gdb takes a caller that lies lower for the end
        info = pending.create_unwind_info(FrameId(gdb.Value(sp).cast(here.type), here))
        for name, value in registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info


unwinder = TaskUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)
gdb.events.cont.connect(lambda event: unwinder.leave())
gdb.events.exited.connect(lambda event: unwinder.leave())


class Inside:
    """A task whose registers are saved, while its stack is looked at."""

    def __init__(self, layout, task):
        self.layout, self.task = layout, task

    def __enter__(self):
        unwinder.enter(self.layout, self.task)

    def __exit__(self, *ignored):
        unwinder.leave()


SWITCH = 5     # frames at most, inlined, between the registers of a parked task and wf_park


def gdb_bt(options, switched):
    """gdb's own bt: its frames, numbered anew. `switched`: frame 0 is the thread's, and
    those to wf_park are parts of the switch."""
    most = int(options) if switched and options.isdigit() else None
    text = gdb.execute("bt " + (options if most is None else str(most + 1 + SWITCH)), to_string=True)
    frames = re.split(r"(?m)^(?=#\d)", text.rstrip())
    if switched:
        frames = [f for f in frames if not re.match(r"#0\b", f)]
        first = next((i for i, f in enumerate(frames[:SWITCH + 1]) if " %s (" % PARK in f), 0)
        frames = frames[first:][:most]
    number = iter(range(len(frames)))
    return [re.sub(r"^#\d+ *", lambda m: "#%-3d" % next(number), f.rstrip()) for f in frames if f]


WHY_NOT = "its stack is not in the core: gcore stops at the guard below it, the kernel does not; " \
          "or its processor is not known here"


def can_unwind(world, task):
    layout = world.layout
    try:
        return bool(layout.saved) and world.is_saved(task) and word(task.sp + layout.saved[layout.pc]) != 0
    except gdb.MemoryError:
        return False


def print_stack(world, task, options=""):
    if task.at in world.running:
        thread = world.threads.get(world.running[task.at].at)
        if not thread:
            print("  (its thread is not to be found)")
            return
        with Selected(thread):
            lines = gdb_bt(options, False)
    elif not world.is_saved(task):
        lines = ["  (it has not begun)"]
    elif not can_unwind(world, task):
        lines = ["  (%s)" % WHY_NOT]
    else:
        with Inside(world.layout, task):
            lines = gdb_bt(options, True)
    print("\n".join(lines))


class Shape:
    """A stack that was unwound: where its return addresses lie. Another one that has the
    same ones at the same places is taken for equal, which spares gdb to unwind it: a
    hundred thousand take seconds, not minutes."""

    def __init__(self, world, task):
        self.frames, self.slots = [], []
        low, self.top = task.sp, world.bounds(task)[1]
        memory = read(low, self.top - low)
        with Inside(world.layout, task):
            frame, before = gdb.newest_frame().older(), None
            while frame and frame.is_valid() and len(self.frames) < FRAMES:
                self.add(frame, before, memory, low, world.layout.sp)
                before, frame = frame, frame.older()
        inlined = next((i for i, f in enumerate(self.frames) if f.startswith(PARK)), 0)
        del self.frames[:inlined] # parts of the switch

    def add(self, frame, before, memory, low, register):
        sal = frame.find_sal()
        place = " at %s:%d" % (os.path.basename(sal.symtab.filename), sal.line) if sal and sal.symtab else ""
        self.frames.append("%s%s" % (frame.name() or symbol_at(frame.pc()), place))
        if before is None:
            return
        begin, end = (int(f.read_register(register)) - low for f in (before, frame))
        for at in range(end - 8, begin - 8, -8):
            if 0 <= at <= len(memory) - 8 and struct.unpack_from("<Q", memory, at)[0] == frame.pc():
                self.slots.append((at, frame.pc()))
                return

    def size(self):
        return max((at + 8 for at, _ in self.slots), default=0)

    def fits(self, memory):
        return len(memory) >= self.size() and all(struct.unpack_from("<Q", memory, at)[0] == pc
                                                  for at, pc in self.slots)


class Shapes:
    def __init__(self, world):
        self.world, self.known = world, {}

    def of(self, task):
        layout = self.world.layout
        pc = word(task.sp + layout.saved[layout.pc])
        known = self.known.setdefault(pc, [])
        size = min(max((s.size() for s in known), default=0), self.world.bounds(task)[1] - task.sp)
        memory = read(task.sp, size) if size > 0 else b""
        for shape in known:
            if shape.slots and shape.fits(memory):
                return shape
        known.append(Shape(self.world, task))
        return known[-1]


# --- commands -------------------------------------------------------------------------

def groups_of(tasks, key):
    groups = collections.OrderedDict()
    for task in tasks:
        groups.setdefault(key(task), []).append(task)
    return groups


def count_of(n, what="task"):
    return "%d %s%s" % (n, what, "" if n == 1 else "s")


def some(tasks, most=8):
    names = ", ".join(name_of(t) for t in tasks[:most])
    return names + (" and %d more" % (len(tasks) - most) if len(tasks) > most else "")


def task_of(world, argument):
    if argument.isdigit():
        task = world.by_id.get(int(argument))
    else:
        task = next((t for t in world.tasks if t.name and t.name == argument), None)
    if not task:
        raise gdb.GdbError("There is no living task '%s': see `weft tasks`." % argument)
    return task


def show_tasks(world, most):
    def kind(task):
        return task.at in world.running, bool(task.worker), task.word & world.layout["word.active"], task.what

    for tasks in groups_of(world.tasks, kind).values():
        for task in tasks[:most]:
            print("  " + line_of(world, task))
        if len(tasks) > most:
            like = tasks[0]
            print("  and %d more: %s%s" % (len(tasks) - most, state_of(world, like),
                                           ", wait for " + like.what if like.what else ""))
    print("%s, %s" % (count_of(len(world.tasks)), count_of(len(world.workers), "worker")))


def show_all_stacks(world):
    shapes = Shapes(world)
    saved = [t for t in world.tasks if can_unwind(world, t)]
    groups = groups_of(saved, shapes.of)
    for shape, tasks in sorted(groups.items(), key=lambda g: len(g[1])):
        print("%s: %s" % (count_of(len(tasks)), line_of(world, tasks[0]) if len(tasks) == 1 else some(tasks)))
        for n, frame in enumerate(shape.frames):
            print("    #%-3d%s" % (n, frame))
    for task in world.tasks:
        if task.at in world.running:
            print(line_of(world, task))
            print_stack(world, task)
    lost = [t for t in world.tasks if world.is_saved(t) and not can_unwind(world, t)]
    if lost:
        print("%s: %s: %s" % (count_of(len(lost)), WHY_NOT, some(lost)))
    new = [t for t in world.tasks if not t.worker]
    for fn, tasks in groups_of(new, lambda t: t.fn).items():
        print("%s: new, to begin at %s: %s" % (count_of(len(tasks)), symbol_at(fn), some(tasks)))


def show_rings(world):
    """Each task waits for one other at most: a walk that comes back is a ring."""
    done = set()
    for task in world.tasks:
        path = []
        while task and task.id not in done:
            done.add(task.id)
            path.append(task)
            task = target_of(world, task)
        if task in path:
            ring = path[path.index(task):]
            print("deadlock of %s:" % count_of(len(ring)))
            for t in ring:
                print("  %s %s" % (name_of(t), wait_of(world, t)))


def show_waits(world):
    show_rings(world)
    waiting = [t for t in world.tasks if t.what and t.at not in world.running]

    def kind(task): # a sleep's argument lies on the task's own stack
        return task.what, 0 if task.what == "sleep" else task.on

    for tasks in groups_of(waiting, kind).values():
        print("%s: %s" % (wait_of(world, tasks[0]), some(tasks)))


class WeftCommand(gdb.Command):
    """Tasks of weft's: their states, stacks, and what they wait for."""

    def __init__(self):
        super().__init__("weft", gdb.COMMAND_STACK, prefix=True)


class TasksCommand(gdb.Command):
    """weft tasks [MAX]: what each task is at. Of tasks that are alike MAX have a line, or 100."""

    def __init__(self):
        super().__init__("weft tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        show_tasks(World(), int(argument) if argument.isdigit() else LINES)


class BtCommand(gdb.Command):
    """weft bt ID [full|N|-N]: the stack of a task.
weft bt all: all stacks; tasks with the same one are one group."""

    def __init__(self):
        super().__init__("weft bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        which, _, options = argument.partition(" ")
        world = World()
        if which == "all":
            show_all_stacks(world)
            return
        task = task_of(world, which)
        print(line_of(world, task))
        print_stack(world, task, options.strip())


class WaitsCommand(gdb.Command):
    """weft waits: who waits for whom."""

    def __init__(self):
        super().__init__("weft waits", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        show_waits(World())


class TaskCommand(gdb.Command):
    """weft task ID: gdb's own commands see the stack of that task, as the callers of frame 0, until
the program goes on, or another thread is selected. weft task: that ends."""

    def __init__(self):
        super().__init__("weft task", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        unwinder.leave()
        if not argument:
            return
        world = World()
        task = task_of(world, argument)
        if task.at in world.running and world.running[task.at].at in world.threads:
            world.threads[world.running[task.at].at].switch()
        elif can_unwind(world, task):
            unwinder.enter(world.layout, task)
            gdb.newest_frame().older().select()
        print(line_of(world, task))


for command in (WeftCommand, TasksCommand, BtCommand, WaitsCommand, TaskCommand):
    command()
