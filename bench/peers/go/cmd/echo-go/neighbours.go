package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"weft/peers/internal/peer"
)

const (
	counterSize      = 128 // as bench/echo/counters.h has it
	neighboursMax    = 1000
	neighbourSleep   = 100 * time.Microsecond
	neighbourCompute = 10 * time.Microsecond
)

// startNeighbours starts the goroutines that kind, KIND:N or "none", asks for: always ready, or soon ready again. Each
// counts its rounds in a place of its own, in a file that the load generator reads.
func startNeighbours(kind, path string) {
	name, count, _ := strings.Cut(kind, ":")
	n := 0
	if name != "none" {
		var err error
		if n, err = strconv.Atoi(count); err != nil || n < 1 || n > neighboursMax {
			peer.Die("-neighbours %s: not a number from 1 to %d", kind, neighboursMax)
		}
	}
	var shared sync.Mutex
	kinds := map[string]func(*uint64){
		"none": nil, "chat": chat, "yield": yield, "spawn": spawn, "sleep": sleep, "compute": compute,
		"mutex": func(done *uint64) { lock(&shared, done) },
	}
	neighbour, found := kinds[name]
	if !found {
		peer.Die("-neighbours %s: there is no such kind", kind)
	}
	counters := mapCounters(path, (n+1)*counterSize) // no bytes cannot be mapped
	for i := range n {
		go neighbour((*uint64)(unsafe.Pointer(&counters[i*counterSize])))
	}
}

func mapCounters(path string, size int) []byte {
	if path == "" {
		return make([]byte, size)
	}
	file, err := os.Create(path)
	if err == nil {
		err = file.Truncate(int64(size))
	}
	if err != nil {
		peer.Die("%v", err)
	}
	defer file.Close()
	memory, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		peer.Die("%s: %v", path, err)
	}
	return memory
}

func chat(done *uint64) {
	there, back := make(chan uint64, 1), make(chan uint64, 1)
	go func() {
		for word := range there {
			back <- word
		}
	}()
	for {
		there <- 0
		<-back
		*done++
	}
}

func yield(done *uint64) {
	for {
		runtime.Gosched()
		*done++
	}
}

func spawn(done *uint64) {
	var group sync.WaitGroup
	for {
		group.Go(func() {})
		group.Wait()
		*done++
	}
}

func sleep(done *uint64) {
	for {
		time.Sleep(neighbourSleep)
		*done++
	}
}

func lock(shared *sync.Mutex, done *uint64) {
	for {
		shared.Lock()
		runtime.Gosched()
		shared.Unlock()
		*done++
	}
}

func compute(done *uint64) {
	for {
		peer.Compute(neighbourCompute)
		runtime.Gosched()
		*done++
	}
}
