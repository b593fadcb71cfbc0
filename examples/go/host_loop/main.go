// What ../../host_loop.c does, in Go, whose runtime is the program's loop: the select
// in main stands for poll(2). It is here only for comparison: see ../../README.md.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"time"
)

type probe struct {
	address string
	err     error
	took    time.Duration
}

func begin(address string, answers chan<- probe) {
	from := time.Now()
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	took := time.Since(from)
	if err == nil {
		conn.Close()
	}
	answers <- probe{address, err, took}
}

func hear(p probe) {
	if p.err == nil {
		fmt.Printf("%s answers after %d us\n", p.address, p.took.Microseconds())
	} else {
		fmt.Printf("%s: %v\n", p.address, p.err)
	}
}

func read(lines chan<- string) {
	defer close(lines)
	scanner := bufio.NewScanner(os.Stdin)
	for scanner.Scan() {
		lines <- scanner.Text()
	}
}

func main() {
	lines, answers := make(chan string), make(chan probe)
	go read(lines)
	for left := 0; lines != nil || left > 0; {
		select {
		case p := <-answers:
			hear(p)
			left--
		case address, open := <-lines:
			if !open {
				lines = nil
				break
			}
			go begin(address, answers)
			left++
		}
	}
}
