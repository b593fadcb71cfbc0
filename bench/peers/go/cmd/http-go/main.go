// http-go: Go's HTTP server for the benchmark, net/http with its defaults: /plaintext, and the files of a folder; over
// TLS if it is given a certificate.
package main

import (
	"flag"
	"io"
	"net/http"
	"runtime"

	"weft/peers/internal/peer"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "`HOST:PORT`: where to listen")
	workers := peer.Count("workers", 256, "`N` threads that serve (default: one for each usable CPU)")
	root := flag.String("root", ".", "the `folder` whose files are served")
	cert := flag.String("cert", "", "the certificate's `file`; without it, no TLS")
	key := flag.String("key", "", "the key's `file`")
	flag.Parse()
	runtime.GOMAXPROCS(*workers)

	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(*root)))
	mux.HandleFunc("/plaintext", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "Hello, World!")
	})
	if *cert != "" {
		peer.Die("%v", http.ListenAndServeTLS(*address, *cert, *key, mux))
	}
	peer.Die("%v", http.ListenAndServe(*address, mux))
}
