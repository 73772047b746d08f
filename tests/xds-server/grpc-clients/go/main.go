// grpc-go as an xDS client: each line on standard input makes one call, whose answer is printed.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	_ "google.golang.org/grpc/xds"
)

// text carries messages as they are.
type text struct{}

func (text) Name() string { return "proto" }

func (text) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(value.(string))}, nil
}

func (text) Unmarshal(data mem.BufferSlice, value any) error {
	*value.(*string) = string(data.Materialize())
	return nil
}

func main() {
	connection, err := grpc.NewClient("xds:///echo.test", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(say(connection, lines.Text()))
	}
}

func say(connection *grpc.ClientConn, words string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var answer string
	if err := connection.Invoke(ctx, "/echo.Echo/Say", words, &answer, grpc.ForceCodecV2(text{}), grpc.WaitForReady(true)); err != nil {
		return fmt.Sprintf("error %v", err)
	}
	return answer
}
