package main

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// The driver reads only what it must and copies nothing that is large, so that it is not what a run
// measures.

// bytesCodec sends bytes as they are, and hands over what comes as gRPC got it.
type bytesCodec struct{}

var _ encoding.CodecV2 = bytesCodec{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(value.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, value any) error {
	data.Ref()
	*value.(*mem.BufferSlice) = data
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

var errCut = errors.New("a response is cut short")

// cursor reads a message in pieces.
type cursor struct {
	pieces mem.BufferSlice
	piece  []byte
}

// more moves on to the next piece when this one is read; false at the end.
func (c *cursor) more() bool {
	for len(c.piece) == 0 {
		if len(c.pieces) == 0 {
			return false
		}
		c.piece, c.pieces = c.pieces[0].ReadOnlyData(), c.pieces[1:]
	}
	return true
}

func (c *cursor) varint() (uint64, error) {
	if value, length := protowire.ConsumeVarint(c.piece); length > 0 {
		c.piece = c.piece[length:]
		return value, nil
	}
	value := uint64(0)
	for shift := 0; shift < 64; shift += 7 {
		if !c.more() {
			return 0, errCut
		}
		read := c.piece[0]
		c.piece = c.piece[1:]
		value |= uint64(read&0x7f) << shift
		if read < 0x80 {
			return value, nil
		}
	}
	return 0, errCut
}

// take hands the next bytes to the function, piece by piece.
func (c *cursor) take(count int, to func([]byte)) error {
	for count > 0 {
		if !c.more() {
			return errCut
		}
		part := c.piece[:min(count, len(c.piece))]
		to(part)
		c.piece = c.piece[len(part):]
		count -= len(part)
	}
	return nil
}

func skip([]byte) {}

// readResponse reads either response message: the fields that matter have the same numbers in both,
// and all fields are length-delimited.
func readResponse(message mem.BufferSlice, withVersions bool) (response, error) {
	read := response{bytes: message.Len()}
	if withVersions {
		read.versions = map[string]string{}
	}
	c := cursor{pieces: message}
	for c.more() {
		tag, err := c.varint()
		if err != nil {
			return read, err
		}
		if protowire.Type(tag&7) != protowire.BytesType {
			return read, fmt.Errorf("field %d has wire type %d", tag>>3, tag&7)
		}
		length, err := c.varint()
		if err != nil {
			return read, err
		}
		if number := tag >> 3; number == 2 && !withVersions && length <= uint64(len(c.piece)) {
			c.piece = c.piece[length:]
			read.resources++
			continue
		}
		kept := tag>>3 == 1 || tag>>3 == 5 || (tag>>3 == 2 && withVersions)
		var value []byte
		if kept {
			err = c.take(int(length), func(part []byte) { value = append(value, part...) })
		} else {
			err = c.take(int(length), skip)
		}
		if err != nil {
			return read, err
		}
		switch tag >> 3 {
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
