// Goroutines one by one: handing over, yielding, starting, joining.
package main

import (
	"runtime"
	"sync"
)

func yields(n int) {
	for range n {
		runtime.Gosched()
	}
}

// switchOn1 has one worker, however many were asked for.
func switchOn1(reps int) []float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	return median(switchOnce)(reps)
}

// Two goroutines that only yield hand over to each other: Go has no barer way to switch.
func switchOnce() float64 {
	return nsPer(2*million, func() {
		together(2, func() { yields(million) })
	})
}

func yield1() float64 {
	return nsPer(million, func() { yields(million) })
}

func yield1000() float64 {
	const crowd = 1000
	return nsPer(million, func() {
		together(crowd, func() { yields(million / crowd) })
	})
}

// An unbuffered channel, kept, is the fastest join: a new one each time, or a WaitGroup, costs a tenth more.
func spawnJoinSeq() float64 {
	done := make(chan int)
	return nsPer(million, func() {
		for range million {
			go func() { done <- 0 }()
			expect(<-done, 0, "an empty goroutine's result")
		}
	})
}

var results = make([]int32, million) // of the batch: what a handle would give

// One Add for all and a Done each spares every goroutine the second function that WaitGroup.Go wraps around its own.
func spawnJoinBatch() float64 {
	var done sync.WaitGroup
	clear(results)
	took := nsPer(million, func() {
		done.Add(million)
		for i := range results {
			go func() {
				results[i] = 1
				done.Done()
			}()
		}
		done.Wait()
	})
	expect(sum(results), million, "goroutines that ran")
	return took
}

func sum(values []int32) (sum int) {
	for _, value := range values {
		sum += int(value)
	}
	return sum
}

// Each goroutine starts the next and is gone; the last one says so. One function value for the whole chain spares each
// link an allocation.
func chainedSpawn() float64 {
	left, end := million, make(chan int)
	var link func()
	link = func() {
		if left--; left > 0 {
			go link()
		} else {
			end <- left
		}
	}
	return nsPer(million, func() {
		go link()
		expect(<-end, 0, "links left")
	})
}
