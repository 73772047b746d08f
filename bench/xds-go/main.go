// The Go half of `make bench-xds`: go-control-plane as a server under test, and the driver that
// measures any server under test.
//
// usage: xds-bench serve linear|snapshot SOCKET CONTROL
//
//	xds-bench drive SOCKET CONTROL ORDER
package main

import (
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(words []string) error {
	switch {
	case len(words) == 4 && words[0] == "serve" && words[1] == "linear":
		return serve(linear(), words[2], words[3])
	case len(words) == 4 && words[0] == "serve" && words[1] == "snapshot":
		return serve(snapshot(), words[2], words[3])
	case len(words) == 4 && words[0] == "drive":
		return drive(words[1], words[2], words[3])
	}
	log.Fatal("usage: xds-bench serve linear|snapshot SOCKET CONTROL | drive SOCKET CONTROL ORDER")
	return nil
}
