// Parked goroutines: what they weigh, and how soon they run when a thread of its own sends what they wait for.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"weft/peers/internal/peer"
)

// idleTask: memory once used stays with the runtime, so only the first million tells; no repetitions. The channels are
// there before, as weft-bench's futures are; what is counted is the goroutine and its part in waiting.
func idleTask(int) []float64 {
	var here, gone sync.WaitGroup
	var got atomic.Int64
	gates := make([]chan int64, million)
	for i := range gates {
		gates[i] = make(chan int64)
	}
	here.Add(million)
	gone.Add(million)
	runtime.GC() // garbage is not what is weighed

	before := status("VmRSS:")
	for _, gate := range gates {
		go func() {
			here.Done()
			got.Add(<-gate)
			gone.Done()
		}()
	}
	here.Wait()
	runtime.GC()
	weight := (status("VmRSS:") - before) / million

	for _, gate := range gates {
		gate <- 1
	}
	gone.Wait()
	expect(got.Load(), million, "goroutines that were woken")
	return []float64{weight}
}

const (
	wakes     = 1000
	pauseIdle = 3000 * time.Microsecond
	pauseBusy = 500 * time.Microsecond
	yielders  = 64
)

// waiter says that it is there, and waits for `wake`, again and again.
type waiter struct {
	here, wake chan int
	woken      []time.Duration // when it ran again, each time
}

func (w *waiter) waits() {
	for i := range w.woken {
		w.here <- i
		expect(<-w.wake, i, "what came with a wake")
		w.woken[i] = peer.Now()
	}
	close(w.here)
}

// sleepThread makes the thread sleep, in the kernel: no timer of the runtime's, nobody but the kernel to wake it.
func sleepThread(pause time.Duration) {
	left := syscall.NsecToTimespec(int64(pause))
	for syscall.Nanosleep(&left, &left) == syscall.EINTR { // the runtime's own signals
	}
}

// wakeEach sends one wake after the other, with a pause before each, from a goroutine that has a thread for itself:
// what comes closest to a thread that is not the runtime's. To send it needs one of the runtime's workers all the same,
// and reads the clock only when it has one: waiting for that does not count, which flatters Go when workers are busy.
func wakeEach(reps int, pause time.Duration) []float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	took := make([]float64, reps*wakes)
	told := make([]time.Duration, len(took))
	w := waiter{make(chan int), make(chan int, 1), make([]time.Duration, len(took))}

	go w.waits()
	for i := range w.here {
		sleepThread(pause)
		told[i] = peer.Now()
		w.wake <- i
	}
	for i := range took {
		took[i] = float64(w.woken[i]-told[i]) / 1e3
	}
	return quantiles(took)
}

func wakeIdle(reps int) []float64 {
	return wakeEach(reps, pauseIdle)
}

// The workers are busy with goroutines that only yield: enough of them for every worker to have some.
func wakeBusy(reps int) []float64 {
	var stop atomic.Bool
	var done sync.WaitGroup
	for range yielders {
		done.Go(func() {
			for !stop.Load() {
				runtime.Gosched()
			}
		})
	}
	took := wakeEach(reps, pauseBusy)
	stop.Store(true)
	done.Wait()
	return took
}
