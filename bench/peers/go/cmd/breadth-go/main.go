// breadth-go: what weft-breadth does, in Go: a relay by io.Copy, lines by bufio.Reader, names by Go's own resolver,
// programs by os/exec.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"weft/peers/internal/peer"
)

// As bench/breadth/counts.h has them.
const (
	lines           = 10000000
	lineBytes       = 100
	lookups         = 10000
	lookupsAtOnce   = 64
	names           = 100
	addresses       = 2
	processes       = 960
	processesAtOnce = 32
)

func check(err error) {
	if err != nil {
		peer.Die("%v", err)
	}
}

// together runs the body n times at once, and returns when all are done.
func together(n int, body func(i int)) {
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { body(i) })
	}
	done.Wait()
}

// copyOneWay passes the end on, too. io.Copy splices from one TCP connection to another.
func copyOneWay(to, from *net.TCPConn) {
	io.Copy(to, from)
	to.CloseWrite()
}

func relay(client *net.TCPConn, to string) {
	defer client.Close()
	conn, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	done := make(chan struct{})
	go func() {
		copyOneWay(server, client)
		close(done)
	}()
	copyOneWay(client, server)
	<-done
}

func relayAll(listen, to string) {
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", listen)
	check(err)
	fmt.Printf("listening on %v\n", listener.Addr())
	for {
		conn, err := listener.Accept()
		check(err)
		go relay(conn.(*net.TCPConn), to)
	}
}

func readLines(n int, target string) {
	conn, err := net.Dial("tcp", target)
	check(err)
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 16384)
	for range n {
		line, err := reader.ReadSlice('\n')
		check(err)
		if len(line) != lineBytes {
			peer.Die("a line of %d bytes", len(line))
		}
	}
}

func resolve(n int, _ string) {
	resolver := net.Resolver{PreferGo: true}
	together(lookupsAtOnce, func(i int) {
		lot := uint64(i)
		for range n / lookupsAtOnce {
			lot = lot*6364136223846793005 + 1442695040888963407
			found, err := resolver.LookupIPAddr(context.Background(), fmt.Sprintf("n%d.bench.test", (lot>>33)%names))
			check(err)
			if len(found) != addresses {
				peer.Die("%d addresses", len(found))
			}
		}
	})
}

func spawn(n int, _ string) {
	together(processesAtOnce, func(int) {
		for range n / processesAtOnce {
			check(exec.Command("/bin/true").Run())
		}
	})
}

// cpu is the CPU time of this process, and of those that it has waited for.
func cpu() (sum time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		check(syscall.Getrusage(who, &u))
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

var benches = []struct {
	name string
	run  func(n int, target string)
	n    int
}{
	{"lines", readLines, lines},
	{"resolve", resolve, lookups},
	{"spawn", spawn, processes},
}

func main() {
	workers := peer.Count("workers", 256, "`N` worker threads (default: one for each usable CPU)")
	peer.Count("reps", 1000, "`R`: accepted as by bench-go; each is measured once")
	list := flag.Bool("list", false, "print the names, and stop")
	listen := flag.String("listen", "127.0.0.1:0", "`HOST:PORT`: where the relay listens")
	to := flag.String("to", "", "`HOST:PORT`: where the relay connects to; without it something is measured")
	target := flag.String("target", "", "`HOST:PORT`: where the lines come from")
	flag.Parse()

	runtime.GOMAXPROCS(*workers) // 0 leaves it as it is
	if *to != "" {
		relayAll(*listen, *to)
	}
	for _, b := range benches {
		if *list {
			fmt.Println(b.name)
		} else if flag.Arg(0) == b.name {
			b.run(b.n/10, *target)
			used, start := cpu(), peer.Now()
			b.run(b.n, *target)
			took, n := (peer.Now() - start).Seconds(), float64(b.n)
			fmt.Printf("%s\t%.2f\t/s\n%s.cpu\t%.4f\tus\n", b.name, n/took, b.name, (cpu()-used).Seconds()*1e6/n)
		}
	}
}
