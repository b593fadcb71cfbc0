// Sleeping, a million at once; how late a sleep ends; and timers that never fire.
package main

import (
	"runtime"
	"sync/atomic"
	"time"

	"weft/peers/internal/peer"
)

// sleep1MOnce returns wall and CPU time, in ms.
func sleep1MOnce() (wall, used float64) {
	before := cpu()
	wall = ms(func() {
		together(million, func() { time.Sleep(time.Second) })
	})
	if wall < 1000 {
		peer.Die("a sleep of 1 s took %g ms", wall)
	}
	return wall, float64(cpu()-before) / 1e6
}

func sleep1M(reps int) []float64 {
	walls, cpus := make([]float64, reps), make([]float64, reps)
	sleep1MOnce() // warms up
	for i := range reps {
		walls[i], cpus[i] = sleep1MOnce()
	}
	return []float64{peer.Median(walls), peer.Median(cpus)}
}

// armAndCancel arms a timer for about an hour from now and stops it, again and again. AfterFunc, not NewTimer: since
// Go 1.23 a timer with a channel is armed only once somebody waits on the channel. A timer that is kept and Reset would
// take half the time, but it is armed only once: Stop leaves it in the heap, and Reset finds it there.
func armAndCancel() {
	never := func() { peer.Die("a timer of an hour fired") }
	for i := range million {
		timer := time.AfterFunc(time.Hour+time.Duration(i)*time.Microsecond, never)
		expect(timer.Stop(), true, "whether a timer was stopped")
	}
}

func timerCancel() float64 {
	return nsPer(million, armAndCancel)
}

// The same on every worker at once. As no goroutine parks before all have begun, each has a worker for itself. The
// figure is the time that one timer takes on one worker: as alone, if they do not disturb each other.
func timerCancelAll() float64 {
	n := runtime.GOMAXPROCS(0)
	var begun, took atomic.Int64

	together(n, func() {
		begun.Add(1)
		for begun.Load() < int64(n) {
		}
		start := peer.Now()
		armAndCancel()
		took.Add(int64(peer.Now() - start))
	})
	return float64(took.Load()) / float64(n*million)
}

// someDuration is between 0.1 and 10 ms; the same row of them every time, and the same as weft-bench's.
func someDuration(state *uint64) time.Duration {
	*state = *state*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
	return 100*time.Microsecond + time.Duration((*state>>33)%uint64(9900*time.Microsecond))
}

// How late, in microseconds, a goroutine runs again after sleeping until a given moment.
func timerLate(reps int) []float64 {
	const sleeps = 1000
	late := make([]float64, reps*sleeps)
	random := uint64(1)

	time.Sleep(20 * time.Millisecond) // the runtime has come to rest
	for i := range late {
		d := someDuration(&random)
		when := peer.Now() + d
		time.Sleep(d)
		late[i] = float64(peer.Now()-when) / 1e3
		if late[i] < 0 {
			peer.Die("a sleep ended %g us early", -late[i])
		}
	}
	return quantiles(late)
}
