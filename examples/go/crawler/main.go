// What ../../crawler.c does, in Go. It is here only for comparison: see
// ../../README.md.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	atATime    = flag.Int("n", 16, "attempts at a time")
	ofAHost    = flag.Int("h", 2, "of them, to one host")
	limit      = flag.Int("t", 5000, "milliseconds for an attempt")
	retries    = flag.Int("r", 3, "how often a failure is repeated")
	firstPause = flag.Int("b", 100, "milliseconds before the first repetition")
	client     http.Client
	slots      chan struct{}
	failed     atomic.Bool
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func attempt(host chan struct{}, url string) (status int, bytes int64, err error) {
	host <- struct{}{} // first: a slow host takes no slot from another
	defer func() { <-host }()
	slots <- struct{}{}
	defer func() { <-slots }()
	response, err := client.Get(url)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	bytes, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, bytes, err
}

func fetch(host chan struct{}, url string) {
	status, bytes, err := attempt(host, url)
	for i := 0; i < *retries && (err != nil || status >= 500); i++ {
		time.Sleep(ms(*firstPause << i)) // without a slot
		status, bytes, err = attempt(host, url)
	}
	if err != nil {
		fmt.Printf("%s: %v\n", url, err)
		failed.Store(true)
	} else {
		fmt.Printf("%s: %d, %d bytes\n", url, status, bytes)
	}
}

func main() {
	flag.Parse()
	slots = make(chan struct{}, *atATime)
	client.Timeout = ms(*limit)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Transport = &http.Transport{DisableKeepAlives: true}
	hosts := map[string]chan struct{}{}
	var fetches sync.WaitGroup
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		line := lines.Text()
		parsed, err := url.Parse(line)
		if err != nil || parsed.Scheme != "http" || parsed.Host == "" {
			fmt.Printf("%s: not an http:// URL\n", line)
			continue
		}
		host := hosts[parsed.Host]
		if host == nil {
			host = make(chan struct{}, *ofAHost)
			hosts[parsed.Host] = host
		}
		fetches.Go(func() { fetch(host, line) })
	}
	fetches.Wait()
	if failed.Load() || lines.Err() != nil {
		os.Exit(1)
	}
}
