// echo-go: Go's echo server for the benchmark: a goroutine for each connection, as net's documentation has it.
//
// Three things that the other servers ask for come by themselves here: net sets TCP_NODELAY on every connection, and
// listens with a backlog of net.core.somaxconn (the most that the kernel grants anybody); the runtime raises the limit
// of descriptors to the hard one when the program starts.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"runtime"
	"time"

	"weft/peers/internal/peer"
)

const (
	bufferSize  = 4096
	stallPeriod = 50 * time.Millisecond
	stallTime   = 20 * time.Millisecond
	hogTime     = time.Millisecond
)

// serve is one connection. Its buffer lives on the heap, as net.Conn is an interface: the compiler cannot know that
// Read does not keep it. Write returns only when everything is written, or with an error.
func serve(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, bufferSize)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// stall is the bad neighbour: woken by its own timer, it computes for long without parking. A ticker keeps to its
// schedule, and drops the ticks that nobody was there to take.
func stall() {
	for range time.Tick(stallPeriod) {
		peer.Compute(stallTime)
	}
}

// hog computes for ever, but yields in between.
func hog() {
	for {
		peer.Compute(hogTime)
		runtime.Gosched()
	}
}

func accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			peer.Die("%v", err) // out of descriptors, say: what was measured from here on would mean nothing
		}
		go serve(conn)
	}
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "`HOST:PORT`: where to listen; port 0 is a free one")
	workers := peer.Count("workers", 256, "`N` threads that serve (default: one for each usable CPU)")
	stalls := flag.Bool("stall", false, "every 50 ms compute for 20 ms without a pause")
	hogs := flag.Bool("hog", false, "on every thread, compute 1 ms at a time all the time")
	neighbours := flag.String("neighbours", "none", "`KIND:N` neighbours: chat, yield, spawn, sleep, mutex, compute; or none")
	counters := flag.String("counters", "", "`FILE` where the neighbours count; for echo-load")
	flag.Parse()
	if flag.NArg() > 0 {
		peer.Die("%s: no such argument", flag.Arg(0))
	}

	runtime.GOMAXPROCS(*workers) // 0 leaves it as it is
	if *stalls {
		go stall()
	}
	for i := 0; *hogs && i < runtime.GOMAXPROCS(0); i++ {
		go hog()
	}
	startNeighbours(*neighbours, *counters)
	// What nobody else sets, and Go does by default: keep-alive on each connection, and multipath TCP.
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", *address)
	if err != nil {
		peer.Die("%v", err)
	}
	fmt.Printf("listening on %v\n", listener.Addr())
	accept(listener)
}
