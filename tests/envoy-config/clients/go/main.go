// grpc-go on both sides of the proxy, with the calls of gRPC's own interoperability tests.
// `go-client serve PORT`, `go-client call HOST:PORT`
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testing "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	reflected "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

// What came of the calls that may be refused; the others end the program when they fail.
type outcome struct {
	Services []string `json:"services"`
	Files    int      `json:"files"`
	Refused  string   `json:"refused"`
	Stream   string   `json:"stream"`
}

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "call":
		call(os.Args[2])
	}
}

func serve(port string) {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	testing.RegisterTestServiceServer(server, interop.NewTestServer())
	reflection.Register(server)
	os.Stdout.WriteString("listening\n")
	log.Fatal(server.Serve(listener))
}

func call(target string) {
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := testing.NewTestServiceClient(connection)
	interop.DoEmptyUnaryCall(ctx, client)
	interop.DoLargeUnaryCall(ctx, client)
	interop.DoClientStreaming(ctx, client)
	interop.DoServerStreaming(ctx, client)
	interop.DoPingPong(ctx, client)
	interop.DoEmptyStream(ctx, client)
	interop.DoCustomMetadata(ctx, client)
	interop.DoStatusCodeAndMessage(ctx, client)
	interop.DoSpecialStatusMessage(ctx, client)
	interop.DoCancelAfterBegin(ctx, client)
	interop.DoCancelAfterFirstResponse(ctx, client)

	var result outcome
	result.Services, result.Files = reflect(ctx, connection)
	_, err = client.CacheableUnaryCall(ctx, &testing.SimpleRequest{})
	result.Refused = show(err)
	half, err := client.HalfDuplexCall(ctx)
	if err == nil {
		_, err = half.Recv()
	}
	result.Stream = show(err)
	json.NewEncoder(os.Stdout).Encode(result)
}

// The names that the server tells, and how many files describe the test service.
func reflect(ctx context.Context, connection *grpc.ClientConn) ([]string, int) {
	stream, err := reflected.NewServerReflectionClient(connection).ServerReflectionInfo(ctx)
	if err != nil {
		log.Fatal(err)
	}
	ask := func(request *reflected.ServerReflectionRequest) *reflected.ServerReflectionResponse {
		if err := stream.Send(request); err != nil {
			log.Fatal(err)
		}
		response, err := stream.Recv()
		if err != nil {
			log.Fatal(err)
		}
		return response
	}
	var services []string
	listed := ask(&reflected.ServerReflectionRequest{
		MessageRequest: &reflected.ServerReflectionRequest_ListServices{},
	})
	for _, service := range listed.GetListServicesResponse().GetService() {
		services = append(services, service.GetName())
	}
	slices.Sort(services)
	described := ask(&reflected.ServerReflectionRequest{
		MessageRequest: &reflected.ServerReflectionRequest_FileContainingSymbol{
			FileContainingSymbol: "grpc.testing.TestService",
		},
	})
	return services, len(described.GetFileDescriptorResponse().GetFileDescriptorProto())
}

func show(err error) string {
	return status.Code(err).String() + ": " + status.Convert(err).Message()
}
