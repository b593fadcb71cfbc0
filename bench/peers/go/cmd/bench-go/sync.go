// Locks.
package main

import "sync"

// contend lets n goroutines count with one lock. Returns: ns a lock.
func contend(n int) float64 {
	const locks = 100000
	var mutex sync.Mutex
	count := 0

	took := nsPer(n*locks, func() {
		together(n, func() {
			for range locks {
				mutex.Lock()
				count++
				mutex.Unlock()
			}
		})
	})
	expect(count, n*locks, "the count")
	return took
}

func mutex1() float64 {
	return contend(1)
}

func mutex8() float64 {
	return contend(8)
}
