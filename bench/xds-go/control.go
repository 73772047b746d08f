package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// A server under test takes lines on a unix socket and answers each with one: `load COUNT BYTES`,
// `change INDEX REVISION`, `stats`. The driver holds the other end.

type stats struct {
	CPUMilliseconds float64 `json:"cpuMs"`
	RSSBytes        int64   `json:"rssBytes"`
	// What is in use after a collection; only of weir in a soak.
	UsedBytes int64 `json:"usedBytes"`
}

func serveControl(path string, handle func(words []string) error) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	connection, err := listener.Accept()
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if words[0] == "stats" {
			text, err := json.Marshal(ownStats())
			if err != nil {
				return err
			}
			fmt.Fprintf(connection, "%s\n", text)
			continue
		}
		if err := handle(words); err != nil {
			return err
		}
		fmt.Fprintln(connection, "ok")
	}
	return lines.Err()
}

func ownStats() stats {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return stats{}
	}
	milliseconds := func(value syscall.Timeval) float64 { return float64(value.Sec)*1e3 + float64(value.Usec)/1e3 }
	return stats{CPUMilliseconds: milliseconds(usage.Utime) + milliseconds(usage.Stime), RSSBytes: residentBytes()}
}

func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

type control struct {
	connection net.Conn
	lines      *bufio.Scanner
}

func dialControl(path string) (*control, error) {
	connection, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	return &control{connection: connection, lines: bufio.NewScanner(connection)}, nil
}

func (c *control) ask(format string, arguments ...any) (string, error) {
	if _, err := fmt.Fprintf(c.connection, format+"\n", arguments...); err != nil {
		return "", err
	}
	if !c.lines.Scan() {
		return "", fmt.Errorf("the server under test is gone: %v", c.lines.Err())
	}
	return c.lines.Text(), nil
}

func (c *control) stats() (stats, error) {
	var now stats
	text, err := c.ask("stats")
	if err != nil {
		return now, err
	}
	return now, json.Unmarshal([]byte(text), &now)
}
