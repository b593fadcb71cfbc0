// Package peer is what the Go peer's two programs share: options, the clock, medians, and failing loudly.
package peer

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Count declares an option that is a number from 1 to max; 0 stands for an option that was not given.
func Count(name string, max int, usage string) *int {
	n := new(int)
	flag.Func(name, usage, func(text string) error {
		value, err := strconv.Atoi(text)
		if err != nil || value < 1 || value > max {
			return fmt.Errorf("not a number from 1 to %d", max)
		}
		*n = value
		return nil
	})
	return n
}

// Die says what went wrong, and ends the program: a figure measured after that would mean nothing.
func Die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, filepath.Base(os.Args[0])+": "+format+"\n", args...)
	os.Exit(1)
}

var epoch = time.Now()

// Now is the monotonic clock; time.Now would read the wall clock as well.
func Now() time.Duration {
	return time.Since(epoch)
}

// Compute keeps the goroutine busy for so long.
func Compute(d time.Duration) {
	for end := Now() + d; Now() < end; {
	}
}

// Median sorts the values, and is the one in the middle, or the mean of the two there.
func Median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// Rank sorts the values, and is the one that a share p (0 to 1) of them do not exceed.
func Rank(values []float64, p float64) float64 {
	slices.Sort(values)
	return values[min(int(p*float64(len(values))), len(values)-1)]
}
