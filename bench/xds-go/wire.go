package main

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// The driver reads only what it must, so that it is not what a run measures.

// bytesCodec carries messages as they are.
type bytesCodec struct{}

var _ encoding.CodecV2 = bytesCodec{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(value.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, value any) error {
	*value.(*[]byte) = data.Materialize()
	return nil
}

type response struct {
	nonce     string
	version   string
	resources int
	bytes     int
	// Only filled in when asked for.
	versions map[string]string
}

// readResponse reads either response message: the fields that matter have the same numbers in both.
func readResponse(message []byte, withVersions bool) (response, error) {
	read := response{bytes: len(message), versions: map[string]string{}}
	for rest := message; len(rest) > 0; {
		number, kind, length := protowire.ConsumeTag(rest)
		if length < 0 {
			return read, protowire.ParseError(length)
		}
		rest = rest[length:]
		size := protowire.ConsumeFieldValue(number, kind, rest)
		if size < 0 {
			return read, protowire.ParseError(size)
		}
		value, _ := protowire.ConsumeBytes(rest)
		switch number {
		case 1:
			read.version = string(value)
		case 2:
			read.resources++
			if withVersions {
				name, version := identityOf(value)
				read.versions[name] = version
			}
		case 5:
			read.nonce = string(value)
		}
		rest = rest[size:]
	}
	if read.nonce == "" {
		return read, fmt.Errorf("a response without a nonce")
	}
	return read, nil
}

// identityOf is name and version of a discovery.v3.Resource.
func identityOf(message []byte) (name, version string) {
	for rest := message; len(rest) > 0; {
		number, kind, length := protowire.ConsumeTag(rest)
		rest = rest[length:]
		size := protowire.ConsumeFieldValue(number, kind, rest)
		value, _ := protowire.ConsumeBytes(rest)
		if number == 3 {
			name = string(value)
		} else if number == 1 {
			version = string(value)
		}
		rest = rest[size:]
	}
	return name, version
}
