// Measuring: repetitions, memory, and results that are what they should be.
package main

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"weft/peers/internal/peer"
)

const million = 1000000

// median runs `once` as a warm-up, then repeats it. A repetition returns what it measured, in the benchmark's unit.
func median(once func() float64) func(reps int) []float64 {
	return func(reps int) []float64 {
		values := make([]float64, reps)
		once()
		for i := range values {
			values[i] = once()
		}
		return []float64{peer.Median(values)}
	}
}

// withPeak adds the most memory that the process ever had, in MiB.
func withPeak(run func(reps int) []float64) func(reps int) []float64 {
	return func(reps int) []float64 {
		return append(run(reps), status("VmHWM:")/(1<<20))
	}
}

// nsPer is how long the body takes for each of its n operations.
func nsPer(n int, body func()) float64 {
	start := peer.Now()
	body()
	return float64(peer.Now()-start) / float64(n)
}

// ms is how long the body takes.
func ms(body func()) float64 {
	return nsPer(1, body) / 1e6
}

// together runs the body n times at once, and returns when all are done.
func together(n int, body func()) {
	var done sync.WaitGroup
	for range n {
		done.Go(body)
	}
	done.Wait()
}

// quantiles is the median and the 99th percentile.
func quantiles(values []float64) []float64 {
	return []float64{peer.Rank(values, 0.50), peer.Rank(values, 0.99)}
}

// expect ends the program if a result is wrong: such a figure says nothing.
func expect[T comparable](got, expected T, what string) {
	if got != expected {
		peer.Die("%s: got %v, expected %v", what, got, expected)
	}
}

// status reads a line such as "VmHWM:     1234 kB" of /proc/self/status, and returns bytes.
func status(field string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		peer.Die("%v", err)
	}
	_, after, _ := strings.Cut(string(text), "\n"+field)
	number, _, _ := strings.Cut(after, "kB")
	kib, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		peer.Die("no %s in /proc/self/status", field)
	}
	return kib * 1024
}

// cpu is the CPU time of all threads of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		peer.Die("getrusage: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
