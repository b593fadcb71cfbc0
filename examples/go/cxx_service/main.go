// What ../../cxx_service.cpp does, in Go. It is here only for comparison: see
// ../../README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func ask(ctx context.Context, upstream, question string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", upstream)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := fmt.Fprintln(conn, question); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == io.EOF && answer == "" {
		return "", fmt.Errorf("%s: no answer", upstream)
	}
	if err != nil && err != io.EOF {
		return "", err
	}
	answer = strings.TrimRight(answer, "\r\n")
	if strings.HasPrefix(answer, "error") {
		return "", fmt.Errorf("%s: %s", upstream, answer)
	}
	return answer, nil
}

func firstAnswer(question string) (string, error) {
	type result struct {
		answer string
		err    error
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	upstreams := os.Args[2:]
	results := make(chan result, len(upstreams))
	for _, upstream := range upstreams {
		go func() {
			answer, err := ask(ctx, upstream, question)
			results <- result{answer, err}
		}()
	}
	var first error
	for i := range upstreams {
		r := <-results
		if r.err == nil {
			return r.answer, nil
		}
		if i == 0 {
			first = r.err
		}
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return "", first
}

func serve(client net.Conn) {
	defer client.Close()
	lines := bufio.NewScanner(client)
	for lines.Scan() {
		answer, err := firstAnswer(lines.Text())
		if err != nil {
			answer = "error: " + err.Error()
		}
		if _, err := fmt.Fprintln(client, answer); err != nil {
			return
		}
	}
}

func acceptAll(listener net.Listener) {
	for {
		client, err := listener.Accept()
		switch {
		case err == nil:
			go serve(client)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: cxx_service ADDRESS UPSTREAM...")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %v\n", listener.Addr())
	go acceptAll(listener)
	<-signals
	listener.Close()
}
