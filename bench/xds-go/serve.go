package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
)

// oneGroup puts every node into one snapshot.
type oneGroup struct{}

func (oneGroup) ID(*core.Node) string { return "all" }

// backend is one of go-control-plane's caches with what changes it.
type backend struct {
	cache  cache.Cache
	load   func(resources []types.Resource) error
	change func(index int, changed types.Resource) error
}

func linear() backend {
	linear := cache.NewLinearCache(resource.ClusterType)
	return backend{
		cache: linear,
		load: func(resources []types.Resource) error {
			byName := map[string]types.Resource{}
			for _, item := range resources {
				byName[cache.GetResourceName(item)] = item
			}
			linear.SetResources(byName)
			return nil
		},
		change: func(_ int, changed types.Resource) error {
			return linear.UpdateResource(cache.GetResourceName(changed), changed)
		},
	}
}

func snapshot() backend {
	snapshots := cache.NewSnapshotCache(true, oneGroup{}, nil)
	var resources []types.Resource
	version := 0
	publish := func() error {
		version++
		next, err := cache.NewSnapshot(strconv.Itoa(version), map[resource.Type][]types.Resource{resource.ClusterType: resources})
		if err != nil {
			return err
		}
		return snapshots.SetSnapshot(context.Background(), "all", next)
	}
	return backend{
		cache: snapshots,
		load: func(all []types.Resource) error {
			resources = all
			return publish()
		},
		change: func(index int, changed types.Resource) error {
			resources[index] = changed
			return publish()
		},
	}
}

// clusterOf is the resource that all servers under test serve: its size is that of one long name.
func clusterOf(index, bytes, revision int) types.Resource {
	text := fmt.Sprintf("%d ", revision)
	return &cluster.Cluster{Name: fmt.Sprintf("cluster-%d", index), AltStatName: text + strings.Repeat("x", max(0, bytes-len(text)))}
}

func serve(backend backend, address, controlPath string) error {
	listener, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	grpcServer := grpc.NewServer(grpc.MaxConcurrentStreams(1_000_000), grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(1<<30))
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, server.NewServer(context.Background(), backend.cache, nil))
	go grpcServer.Serve(listener)
	size := 0
	return serveControl(controlPath, func(words []string) error {
		numbers := make([]int, 0, 2)
		for _, word := range words[1:] {
			number, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			numbers = append(numbers, number)
		}
		switch words[0] {
		case "load":
			resources := make([]types.Resource, numbers[0])
			size = numbers[1]
			for index := range resources {
				resources[index] = clusterOf(index, size, 0)
			}
			return backend.load(resources)
		case "change":
			return backend.change(numbers[0], clusterOf(numbers[0], size, numbers[1]))
		}
		return fmt.Errorf("unknown order %q", words[0])
	})
}
