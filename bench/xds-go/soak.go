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
	var rss, used []int64
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
			rss = append(rss, now.RSSBytes)
			used = append(used, now.UsedBytes)
		}
	}
	third := len(rss) / 3
	mebibytes := func(values []int64) float64 { return float64(median(values)) / (1 << 20) }
	return figures{
		"minutes":         run.For.Minutes(),
		"changes":         float64(changes),
		"streamsReplaced": float64(next - run.Streams),
		"usedMiddleMiB":   mebibytes(used[third : 2*third]),
		"usedLastMiB":     mebibytes(used[2*third:]),
		"rssMiddleMiB":    mebibytes(rss[third : 2*third]),
		"rssLastMiB":      mebibytes(rss[2*third:]),
		"rssLargestMiB":   float64(slices.Max(rss)) / (1 << 20),
	}, nil
}
