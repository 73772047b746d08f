package main

import (
	"slices"
	"time"
)

// In a soak resources change all the time, and streams go and come back with nothing.

const (
	sampleEvery  = 2 * time.Second
	replaceEvery = 500 * time.Millisecond
	changeEvery  = 100 * time.Millisecond
	replaced     = 4
)

func median(values []int64) int64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func soak(run order, address string, control *control) (figures, error) {
	fleet, err := newFleet(run, run.Streams, address)
	if err != nil {
		return nil, err
	}
	defer fleet.close()
	if err := fleet.start(run.Streams, nil); err != nil {
		return nil, err
	}
	if _, err := fleet.all(fleet.numbers(), run.Resources); err != nil {
		return nil, err
	}
	next := run.Streams
	changes := 0
	var samples []int64
	begin := time.Now()
	replacedAt, sampledAt := begin, begin
	for ticks := time.Tick(changeEvery); time.Since(begin) < run.For; <-ticks {
		changes++
		if _, err := control.ask("change %d %d", changes%run.Resources, changes); err != nil {
			return nil, err
		}
		if _, err := fleet.all(fleet.numbers(), 1); err != nil {
			return nil, err
		}
		if time.Since(replacedAt) > replaceEvery {
			replacedAt = time.Now()
			var fresh []int
			for range replaced {
				// Streams are numbered on, so that each place is taken in turn.
				if err := fleet.replace(next-run.Streams, next); err != nil {
					return nil, err
				}
				fresh = append(fresh, next)
				next++
			}
			if _, err := fleet.all(fresh, run.Resources); err != nil {
				return nil, err
			}
		}
		if time.Since(sampledAt) > sampleEvery {
			sampledAt = time.Now()
			now, err := control.stats()
			if err != nil {
				return nil, err
			}
			samples = append(samples, now.RSSBytes)
		}
	}
	third := len(samples) / 3
	middle, last := median(samples[third:2*third]), median(samples[2*third:])
	return figures{
		"minutes":         run.For.Minutes(),
		"changes":         float64(changes),
		"streamsReplaced": float64(next - run.Streams),
		"middleMiB":       float64(middle) / (1 << 20),
		"lastMiB":         float64(last) / (1 << 20),
		"largestMiB":      float64(slices.Max(samples)) / (1 << 20),
		"growthKiB":       float64(last-middle) / 1024,
	}, nil
}
