// Channels: two goroutines that answer each other, and many that send and receive on one.
package main

import (
	"sync"
	"sync/atomic"
)

// pair: one sends a number, the other one sends it back, one up.
type pair struct {
	there, back chan uint64
}

func (p pair) answers(roundTrips uint64) {
	for range roundTrips {
		p.back <- <-p.there + 1
	}
}

func (p pair) asks(roundTrips uint64) {
	for i := range roundTrips {
		p.there <- i
		expect(<-p.back, i+1, "a pong")
	}
}

// play runs n pairs at once. Returns: ns a round trip.
func play(n int, roundTrips uint64) float64 {
	pairs := make([]pair, n)
	for i := range pairs {
		pairs[i] = pair{make(chan uint64, 1), make(chan uint64, 1)}
	}
	return nsPer(n*int(roundTrips), func() {
		var players sync.WaitGroup
		for _, p := range pairs {
			players.Go(func() { p.answers(roundTrips) })
			players.Go(func() { p.asks(roundTrips) })
		}
		players.Wait()
	})
}

func pingpong1() float64 {
	return play(1, million/2)
}

func pingpong1000() float64 {
	return play(1000, 1000)
}

const (
	messages = 4 * million
	capacity = 1024
)

// tally is what all consumers have received.
type tally struct {
	count, sum atomic.Uint64
}

func produces(c chan<- uint64, first, count uint64) {
	for n := first; n < first+count; n++ {
		c <- n
	}
}

func consumes(c <-chan uint64, all *tally) {
	var count, sum uint64
	for n := range c {
		count++
		sum += n
	}
	all.count.Add(count)
	all.sum.Add(sum)
}

// transfer sends the numbers from 0 to messages - 1 from producers to consumers. Returns: million messages a second.
func transfer(producers, consumers int) float64 {
	var senders, receivers sync.WaitGroup
	var all tally
	c, each := make(chan uint64, capacity), uint64(messages/producers)

	took := nsPer(messages, func() {
		for range consumers {
			receivers.Go(func() { consumes(c, &all) })
		}
		for i := range producers {
			senders.Go(func() { produces(c, uint64(i)*each, each) })
		}
		senders.Wait()
		close(c)
		receivers.Wait()
	})
	expect(all.count.Load(), messages, "messages received")
	expect(all.sum.Load(), messages*(messages-1)/2, "the sum of the messages")
	return 1e3 / took
}

func mpsc1() float64 {
	return transfer(1, 1)
}

func mpsc8() float64 {
	return transfer(8, 1)
}

func mpmc8x8() float64 {
	return transfer(8, 8)
}
