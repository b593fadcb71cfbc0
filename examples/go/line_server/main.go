// What ../../line_server.c does, in Go. It is here only for comparison: see
// ../../README.md.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const maxLine = 1024

var (
	store    = map[string]string{}
	lock     sync.Mutex
	requests sync.RWMutex // for reading while requests are answered
	errQuit  = errors.New("the client has ended")
)

func answer(w *bufio.Writer, line string) error {
	words := strings.SplitN(line, " ", 3)
	if words[0] == "" {
		return nil
	}
	lock.Lock()
	defer lock.Unlock()
	say := "ok"
	switch {
	case words[0] == "QUIT" && len(words) == 1:
		return errQuit
	case words[0] == "GET" && len(words) == 2:
		value, found := store[words[1]]
		if say = "= " + value; !found {
			say = "none"
		}
	case words[0] == "SET" && len(words) == 3:
		store[words[1]] = words[2]
	case words[0] == "DEL" && len(words) == 2:
		if _, found := store[words[1]]; !found {
			say = "none"
		}
		delete(store, words[1])
	default:
		say = "what?"
	}
	_, err := fmt.Fprintln(w, say)
	return err
}

// more tells whether another request is in the reader's buffer already.
func more(r *bufio.Reader) bool {
	rest, _ := r.Peek(r.Buffered())
	return bytes.IndexByte(rest, '\n') >= 0
}

// batch answers the requests that have come together.
func batch(r *bufio.Reader, w *bufio.Writer) error {
	requests.RLock()
	defer requests.RUnlock()
	defer w.Flush()
	for {
		line, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			fmt.Fprintf(w, "a line has %d bytes at most\n", maxLine)
		}
		if err != nil && len(line) == 0 || err == bufio.ErrBufferFull {
			return err
		}
		if err := answer(w, strings.TrimRight(string(line), "\r\n")); err != nil {
			return err
		}
		if !more(r) {
			return w.Flush()
		}
	}
}

func serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, maxLine)
	w := bufio.NewWriter(conn)
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		if err := batch(r, w); err != nil {
			return
		}
	}
}

func acceptAll(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			go serve(conn)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func main() {
	address := "127.0.0.1:7000"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %v\n", listener.Addr())
	go acceptAll(listener)
	<-signals
	listener.Close()
	time.AfterFunc(5*time.Second, func() { os.Exit(1) })
	requests.Lock()
}
