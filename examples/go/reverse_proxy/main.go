// What ../../reverse_proxy.c does, in Go. It is here only for comparison: see
// ../../README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	address  = flag.String("l", "127.0.0.1:7000", "the address to listen on")
	dialTime = flag.Int("d", 1000, "milliseconds for a backend to answer")
	idleTime = flag.Int("i", 0, "milliseconds without a byte that end a connection")
	grace    = flag.Int("g", 5000, "milliseconds to finish after SIGTERM")
	clients  sync.WaitGroup
	turn     atomic.Uint32
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func dialNext() (*net.TCPConn, error) {
	err := errors.New("no backend is given")
	first := int(turn.Add(1) - 1)
	for i := range flag.NArg() {
		var conn net.Conn
		backend := flag.Arg((first + i) % flag.NArg())
		if conn, err = net.DialTimeout("tcp", backend, ms(*dialTime)); err == nil {
			return conn.(*net.TCPConn), nil
		}
		log.Printf("%s: %v", backend, err)
	}
	return nil, err
}

// hangUp closes a connection. One that has failed it resets, so that its peer does not
// take that for an orderly end.
func hangUp(conn *net.TCPConn, err error) {
	if err != nil {
		conn.SetLinger(0)
	}
	conn.Close()
}

// pump copies one way. Each byte gives both ways more time.
func pump(to, from *net.TCPConn) error {
	buf := make([]byte, 32<<10)
	for {
		if *idleTime > 0 {
			deadline := time.Now().Add(ms(*idleTime))
			to.SetDeadline(deadline)
			from.SetDeadline(deadline)
		}
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return to.CloseWrite()
		}
		if err != nil {
			return err
		}
	}
}

func relay(a, b *net.TCPConn) error {
	ends := make(chan error, 2)
	go func() { ends <- pump(a, b) }()
	go func() { ends <- pump(b, a) }()
	err := <-ends
	if err == nil {
		err = <-ends
	}
	return err
}

func serve(client *net.TCPConn) {
	defer clients.Done()
	server, err := dialNext()
	if err == nil {
		err = relay(client, server)
		hangUp(server, err)
	}
	hangUp(client, err)
}

func acceptAll(listener *net.TCPListener) {
	for {
		client, err := listener.AcceptTCP()
		switch {
		case err == nil:
			clients.Add(1)
			go serve(client)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func main() {
	flag.Parse()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %v\n", listener.Addr())
	accepting := make(chan struct{})
	go func() {
		acceptAll(listener.(*net.TCPListener))
		close(accepting)
	}()
	<-signals
	listener.Close()
	<-accepting
	done := make(chan struct{})
	go func() {
		clients.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(ms(*grace)):
		os.Exit(1)
	}
}
