// Select among cases that are all ready: what the choice itself costs.
package main

import (
	"time"

	"weft/peers/internal/peer"
)

const (
	selects = 512 * 1024
	inARow  = 4096
)

// select2: the channels are filled before, and drained after the clock is read: it runs only while there are so many
// selects in a row that none of them can find a channel empty.
func select2() float64 {
	a, b := make(chan uint64, inARow), make(chan uint64, inARow)
	var sent, received uint64
	var took time.Duration

	for range selects / inARow {
		sent += fill(a) + fill(b)
		start := peer.Now()
		received += selectRow(a, b)
		took += peer.Now() - start
		received += drain(a) + drain(b)
	}
	expect(received, sent, "the sum of the messages")
	return float64(took) / selects
}

func fill(c chan<- uint64) (sum uint64) {
	for n := range uint64(inARow) {
		c <- n
		sum += n
	}
	return sum
}

func selectRow(a, b <-chan uint64) (sum uint64) {
	for range inARow {
		select {
		case n := <-a:
			sum += n
		case n := <-b:
			sum += n
		}
	}
	return sum
}

func drain(c <-chan uint64) (sum uint64) {
	for len(c) > 0 {
		sum += <-c
	}
	return sum
}
