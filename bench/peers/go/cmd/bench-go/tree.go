// Trees of goroutines: fork, join, and pass a sum upwards.
package main

import "sync"

const (
	fanOut    = 10
	leaves    = million
	skynetSum = 499999500000 // 0 + 1 + ... + (leaves - 1)
	fibN      = 32
	fibResult = 2178309
)

// subtree is the sum of the numbers of n leaves from the first one on. A WaitGroup and an array of results are
// faster than the channel that most skynets pass their sums through: by a tenth on one worker.
func subtree(first, n int) int {
	if n == 1 {
		return first
	}
	var below [fanOut]int
	var done sync.WaitGroup
	share := n / fanOut
	done.Add(fanOut)
	for i := range below {
		go func() {
			below[i] = subtree(first+i*share, share)
			done.Done()
		}()
	}
	done.Wait()
	all := 0
	for _, sum := range below {
		all += sum
	}
	return all
}

func skynet() float64 {
	root := make(chan int)
	return ms(func() {
		go func() { root <- subtree(0, leaves) }()
		expect(<-root, skynetSum, "skynet's sum")
	})
}

// fib(n) starts a goroutine for fib(n-1), and computes fib(n-2) itself, by a plain call that starts one in its turn:
// one a call above 1, and no cut-off. A channel is a tenth faster here than a WaitGroup.
func fib(n int) int {
	if n < 2 {
		return n
	}
	other := make(chan int)
	go func() { other <- fib(n - 1) }()
	mine := fib(n - 2)
	return mine + <-other
}

func fib32() float64 {
	return ms(func() { expect(fib(fibN), fibResult, "fib(32)") })
}
