// bench-go: weft's micro benchmarks in Go. One line a result: name, value and unit, with tabs between.
//
// Names, counts and shapes are those of weft-bench. The garbage collector runs as it does by default, and is part of
// every figure. Each benchmark's driver is the main goroutine, which is one like any other: the scheduler moves it from
// thread to thread. Peak memory is the process's, so start the program once for each name.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"runtime"
	"strings"

	"weft/peers/internal/peer"
)

// line is one line of output: a benchmark has one, named as itself (suffix ""), or several ("skynet" and "skynet.rss").
type line struct {
	suffix, unit string
}

type bench struct {
	name  string
	reps  int                      // how many repetitions the median is taken of, unless --reps says otherwise
	run   func(reps int) []float64 // a value for each line
	lines []line
}

// Without a shape in Go: spawn_outside, as every thread is the runtime's; scope_open_close, as a WaitGroup has no
// deadline; select_64, as a choice among that many channels is not written as a select.
var benches = []bench{
	{"switch", 5, switchOn1, []line{{"", "ns/switch"}}},
	{"yield_1", 5, median(yield1), []line{{"", "ns/yield"}}},
	{"yield_1000", 5, median(yield1000), []line{{"", "ns/yield"}}},
	{"spawn_join_seq", 5, median(spawnJoinSeq), []line{{"", "ns/task"}}},
	{"spawn_join_batch", 5, median(spawnJoinBatch), []line{{"", "ns/task"}}},
	{"chained_spawn", 5, median(chainedSpawn), []line{{"", "ns/task"}}},
	{"pingpong_1", 5, median(pingpong1), []line{{"", "ns/roundtrip"}}},
	{"pingpong_1000", 5, median(pingpong1000), []line{{"", "ns/roundtrip"}}},
	{"skynet", 5, withPeak(median(skynet)), []line{{"", "ms"}, {".rss", "MiB"}}},
	{"fib32", 5, withPeak(median(fib32)), []line{{"", "ms"}, {".rss", "MiB"}}},
	{"mpsc_1p", 5, median(mpsc1), []line{{"", "Mmsg/s"}}},
	{"mpsc_8p", 5, median(mpsc8), []line{{"", "Mmsg/s"}}},
	{"mpmc_8x8", 5, median(mpmc8x8), []line{{"", "Mmsg/s"}}},
	{"mutex_1", 5, median(mutex1), []line{{"", "ns/lock"}}},
	{"mutex_8", 5, median(mutex8), []line{{"", "ns/lock"}}},
	{"scope_100k", 5, median(scope100k), []line{{"", "ns/child"}}},
	{"select_2", 5, median(select2), []line{{"", "ns"}}},
	{"sleep_1m", 3, withPeak(sleep1M), []line{{".wall", "ms"}, {".cpu", "ms"}, {".rss", "MiB"}}},
	{"timer_cancel", 5, median(timerCancel), []line{{"", "ns/timer"}}},
	{"timer_cancel_all", 5, median(timerCancelAll), []line{{"", "ns/timer"}}},
	{"timer_late", 1, timerLate, []line{{".p50", "us"}, {".p99", "us"}}},
	{"idle_task", 1, idleTask, []line{{"", "bytes/task"}}},
	{"wake_idle", 1, wakeIdle, []line{{".p50", "us"}, {".p99", "us"}}},
	{"wake_busy", 1, wakeBusy, []line{{".p50", "us"}, {".p99", "us"}}},
}

// chosen is which lines are to be printed; a NAME is a benchmark's ("skynet": all its lines), or a line's.
type chosen map[string]bool

func choose(names []string) chosen {
	c := chosen{}
	for _, name := range names {
		known := false
		for _, b := range benches {
			for _, l := range b.lines {
				if full := b.name + l.suffix; name == b.name || name == full {
					known, c[full] = true, true
				}
			}
		}
		if !known {
			peer.Die("no benchmark is named '%s'; --list has the names", name)
		}
	}
	return c
}

func allNames() (names []string) {
	for _, b := range benches {
		for _, l := range b.lines {
			names = append(names, b.name+l.suffix)
		}
	}
	return names
}

// measure runs a benchmark if any of its lines is wanted.
func measure(b bench, wanted chosen, reps int) {
	var values []float64
	for i, l := range b.lines {
		name := b.name + l.suffix
		if !wanted[name] {
			continue
		}
		if values == nil {
			values = b.run(reps)
		}
		fmt.Printf("%s\t%.2f\t%s\n", name, values[i], l.unit)
	}
}

func usage() {
	fmt.Fprintln(flag.CommandLine.Output(), "Usage: bench-go [--workers=N] [--reps=R] [--list] [NAME...]")
	flag.PrintDefaults()
}

func main() {
	workers := peer.Count("workers", 256, "`N` worker threads (default: one for each usable CPU)")
	reps := peer.Count("reps", 1000, "`R` repetitions that each median is taken of, after one to warm up")
	list := flag.Bool("list", false, "print the names, and stop")
	flag.Usage = usage
	flag.Parse()

	if *list {
		fmt.Println(strings.Join(allNames(), "\n"))
		return
	}
	names := flag.Args()
	if len(names) == 0 {
		names = allNames()
	}
	wanted := choose(names)
	runtime.GOMAXPROCS(*workers) // 0 leaves it as it is
	for _, b := range benches {
		measure(b, wanted, cmp.Or(*reps, b.reps))
	}
}
