package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// The driver measures one server under test; what it finds goes to standard output as JSON.

type arrival struct {
	stream int
	response
}

type fleet struct {
	delta       bool
	address     string
	readBuffer  int
	arrivals    chan arrival
	failures    chan error
	cancel      context.CancelFunc
	context     context.Context
	connections []*grpc.ClientConn
	// Responses that hold this name are refused; empty: none.
	refused string
	// By number of the stream.
	cancels map[int]context.CancelFunc
}

// newFleet makes the connections that streams share evenly; 0 gives each stream its own.
func newFleet(run order, streams int, address string) (*fleet, error) {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fleet{delta: run.Delta, address: address, readBuffer: run.ReadBuffer, arrivals: make(chan arrival, 1<<16), failures: make(chan error, 1<<16), cancel: cancel, context: ctx, cancels: map[int]context.CancelFunc{}}
	count := run.Connections
	if count == 0 {
		count = streams
	}
	for range count {
		connection, err := f.dial()
		if err != nil {
			return nil, err
		}
		f.connections = append(f.connections, connection)
	}
	return f, nil
}

func (f *fleet) close() {
	f.cancel()
	for _, connection := range f.connections {
		connection.Close()
	}
}

func (f *fleet) method() string {
	if f.delta {
		return "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	}
	return "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
}

func (f *fleet) first(number int, versions map[string]string) proto.Message {
	node := &core.Node{Id: fmt.Sprintf("node-%d", number), Cluster: "bench"}
	if f.delta {
		return &discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: resource.ClusterType, InitialResourceVersions: versions}
	}
	return &discovery.DiscoveryRequest{Node: node, TypeUrl: resource.ClusterType}
}

func (f *fleet) refuses(read response) bool {
	_, holds := read.versions[f.refused]
	return holds
}

func (f *fleet) answer(to response) proto.Message {
	if f.refuses(to) {
		return &discovery.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, ResponseNonce: to.nonce, ErrorDetail: &status.Status{Message: "something is wrong"}}
	}
	if f.delta {
		return &discovery.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, ResponseNonce: to.nonce}
	}
	return &discovery.DiscoveryRequest{TypeUrl: resource.ClusterType, ResponseNonce: to.nonce, VersionInfo: to.version}
}

// dial makes one connection.
func (f *fleet) dial() (*grpc.ClientConn, error) {
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
		// A thousand clients at once overrun a listener's backlog; they come back quickly, as proxies do.
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 20 * time.Second, Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.2, Jitter: 0.2, MaxDelay: 200 * time.Millisecond}}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{}), grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(1<<30), grpc.WaitForReady(true))}
	if f.readBuffer > 0 {
		options = append(options, grpc.WithReadBufferSize(f.readBuffer))
	}
	return grpc.NewClient("unix:"+f.address, options...)
}

// open runs one stream until it is cancelled, acknowledging what comes.
func (f *fleet) open(ctx context.Context, number int, request []byte, withVersions bool) {
	fail := func(err error) {
		if ctx.Err() == nil {
			f.failures <- fmt.Errorf("stream %d: %w", number, err)
		}
	}
	connection := f.connections[number%len(f.connections)]
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, f.method())
	if err != nil {
		fail(err)
		return
	}
	if err := stream.SendMsg(request); err != nil {
		fail(err)
		return
	}
	for {
		var message mem.BufferSlice
		if err := stream.RecvMsg(&message); err != nil {
			fail(err)
			return
		}
		read, err := readResponse(message, withVersions)
		message.Free()
		if err != nil {
			fail(err)
			return
		}
		reply, err := proto.Marshal(f.answer(read))
		if err == nil {
			err = stream.SendMsg(reply)
		}
		if err != nil {
			fail(err)
			return
		}
		if !f.refuses(read) {
			f.arrivals <- arrival{number, read}
		}
	}
}

func (f *fleet) start(streams int, versions map[string]string) error {
	for number := range streams {
		if err := f.startOne(number, versions); err != nil {
			return err
		}
	}
	return nil
}

// load starts all streams, and waits until they have everything.
func (f *fleet) load(run order) error {
	if err := f.start(run.Streams, nil); err != nil {
		return err
	}
	_, err := f.all(f.numbers(), run.Resources)
	return err
}

func (f *fleet) startOne(number int, versions map[string]string) error {
	request, err := proto.Marshal(f.first(number, versions))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(f.context)
	f.cancels[number] = cancel
	go f.open(ctx, number, request, f.refused != "")
	return nil
}

// replace closes a stream with its connection, and opens another in its place.
func (f *fleet) replace(number, by int) error {
	f.cancels[number]()
	delete(f.cancels, number)
	place := number % len(f.connections)
	if err := f.connections[place].Close(); err != nil {
		return err
	}
	connection, err := f.dial()
	if err != nil {
		return err
	}
	f.connections[place] = connection
	return f.startOne(by, nil)
}

// numbers of the streams that are open.
func (f *fleet) numbers() []int {
	return slices.Collect(maps.Keys(f.cancels))
}

// all waits until each of these streams has got this many resources, and returns the bytes that took.
func (f *fleet) all(streams []int, resources int) (int, error) {
	missing := map[int]int{}
	for _, number := range streams {
		missing[number] = resources
	}
	bytes := 0
	deadline := time.After(2 * time.Minute)
	for len(missing) > 0 {
		select {
		case got := <-f.arrivals:
			if _, waits := missing[got.stream]; !waits {
				continue
			}
			bytes += got.bytes
			missing[got.stream] -= got.resources
			if missing[got.stream] <= 0 {
				delete(missing, got.stream)
			}
		case err := <-f.failures:
			return bytes, err
		case <-deadline:
			return bytes, fmt.Errorf("%d streams are still without", len(missing))
		}
	}
	return bytes, nil
}

type order struct {
	Scenario string `json:"scenario"`
	Delta    bool   `json:"delta"`
	Streams  int    `json:"streams"`
	// 0: each stream has its own, as proxies do.
	Connections int `json:"connections"`
	// Of each connection; 0: gRPC's own choice.
	ReadBuffer int           `json:"readBuffer"`
	Resources  int           `json:"resources"`
	Bytes      int           `json:"bytes"`
	Rounds     int           `json:"rounds"`
	For        time.Duration `json:"forNanoseconds"`
}

// figures of one run; what a scenario does not measure is left out.
type figures map[string]float64

func drive(address, controlPath string, text string) error {
	var run order
	if err := json.Unmarshal([]byte(text), &run); err != nil {
		return err
	}
	control, err := dialControl(controlPath)
	if err != nil {
		return err
	}
	if _, err := control.ask("load %d %d", run.Resources, run.Bytes); err != nil {
		return err
	}
	found, err := scenarios[run.Scenario](run, address, control)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

var scenarios = map[string]func(order, string, *control) (figures, error){
	"push":      push,
	"reconnect": reconnect,
	"soak":      soak,
	"poison":    poison,
}

// push opens the streams (first load), then changes one resource again and again, each time when
// all have the last one.
func push(run order, address string, control *control) (figures, error) {
	idle, err := control.stats()
	if err != nil {
		return nil, err
	}
	fleet, err := newFleet(run, run.Streams, address)
	if err != nil {
		return nil, err
	}
	defer fleet.close()
	driverIdle := ownStats().CPUMilliseconds
	begin := time.Now()
	if err := fleet.load(run); err != nil {
		return nil, err
	}
	loaded := time.Since(begin)
	loadDriver := ownStats().CPUMilliseconds - driverIdle
	before, err := control.stats()
	if err != nil {
		return nil, err
	}
	perAnswer := run.Resources
	if run.Delta {
		perAnswer = 1
	}
	var times []float64
	driverLoaded := ownStats().CPUMilliseconds
	bytes := 0
	begin = time.Now()
	for revision := 1; time.Since(begin) < run.For || revision <= run.Rounds; revision++ {
		start := time.Now()
		if _, err := control.ask("change %d %d", revision%run.Resources, revision); err != nil {
			return nil, err
		}
		size, err := fleet.all(fleet.numbers(), perAnswer)
		if err != nil {
			return nil, err
		}
		bytes += size
		times = append(times, float64(time.Since(start).Microseconds())/1e3)
	}
	took := time.Since(begin)
	pushDriver := ownStats().CPUMilliseconds - driverLoaded
	after, err := control.stats()
	if err != nil {
		return nil, err
	}
	pushes := float64(len(times) * run.Streams)
	sort.Float64s(times)
	return figures{
		"firstLoadMs":            float64(loaded.Microseconds()) / 1e3,
		"firstLoadDriverCpuMs":   loadDriver,
		"firstLoadCpuMs":         before.CPUMilliseconds - idle.CPUMilliseconds,
		"pushesPerSecond":        pushes / took.Seconds(),
		"cpuMicrosPerPush":       (after.CPUMilliseconds - before.CPUMilliseconds) * 1e3 / pushes,
		"driverCpuMicrosPerPush": pushDriver * 1e3 / pushes,
		"allHaveItMs":            times[len(times)/2],
		"bytesPerPush":           float64(bytes) / pushes,
		"kibibytesPerStream":     float64(before.RSSBytes-idle.RSSBytes) / 1024 / float64(run.Streams),
	}, nil
}

// reconnect lets one stream learn all versions; then many come at once and say that they know them.
func reconnect(run order, address string, control *control) (figures, error) {
	scout, err := newFleet(run, 1, address)
	if err != nil {
		return nil, err
	}
	request, err := proto.Marshal(scout.first(0, nil))
	if err != nil {
		return nil, err
	}
	go scout.open(scout.context, 0, request, true)
	versions := map[string]string{}
	for len(versions) < run.Resources {
		select {
		case got := <-scout.arrivals:
			for name, version := range got.versions {
				versions[name] = version
			}
		case err := <-scout.failures:
			return nil, err
		}
	}
	scout.close()
	before, err := control.stats()
	if err != nil {
		return nil, err
	}
	fleet, err := newFleet(run, run.Streams, address)
	if err != nil {
		return nil, err
	}
	defer fleet.close()
	begin := time.Now()
	if err := fleet.start(run.Streams, versions); err != nil {
		return nil, err
	}
	// One has changed meanwhile, so that every stream has one answer to wait for.
	if _, err := control.ask("change 0 1"); err != nil {
		return nil, err
	}
	bytes, err := fleet.all(fleet.numbers(), 1)
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	after, err := control.stats()
	if err != nil {
		return nil, err
	}
	return figures{
		"stormMs":      float64(took.Microseconds()) / 1e3,
		"stormCpuMs":   after.CPUMilliseconds - before.CPUMilliseconds,
		"stormBytes":   float64(bytes),
		"stormPeakMiB": float64(after.RSSBytes) / (1 << 20),
	}, nil
}

// poison has clients that refuse, as a whole, each response with one resource of all in it.
func poison(run order, address string, control *control) (figures, error) {
	fleet, err := newFleet(run, run.Streams, address)
	if err != nil {
		return nil, err
	}
	defer fleet.close()
	fleet.refused = fmt.Sprintf("cluster-%d", run.Resources*3/5)
	begin := time.Now()
	if err := fleet.start(run.Streams, nil); err != nil {
		return nil, err
	}
	if _, err := fleet.all(fleet.numbers(), run.Resources-1); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	// The last ones may still be on their way.
	want := strings.TrimSuffix(strings.Repeat(fleet.refused+",", run.Streams), ",")
	refusals := ""
	for refusals != want {
		if refusals, err = control.ask("refusals"); err != nil {
			return nil, err
		}
		if time.Since(begin) > 10*time.Second {
			return nil, fmt.Errorf("the server names %q as refused, not %q", refusals, want)
		}
	}
	return figures{
		"othersHaveItMs": float64(took.Microseconds()) / 1e3,
		"culpritNamedMs": float64(time.Since(begin).Microseconds()) / 1e3,
	}, nil
}
