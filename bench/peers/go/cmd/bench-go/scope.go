// Scopes: a WaitGroup is what Go has for them. Nothing fails here, so nothing of what a WaitGroup lacks is missed.
package main

import "sync"

var marked = make([]int32, 100000)

func scope100k() float64 {
	clear(marked)
	took := nsPer(len(marked), func() {
		var scope sync.WaitGroup
		for i := range marked {
			scope.Go(func() { marked[i] = 1 })
		}
		scope.Wait()
	})
	expect(sum(marked), len(marked), "children that ran")
	return took
}
