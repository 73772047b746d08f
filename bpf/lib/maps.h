/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of one instance, pinned by name under its directory and shared by all programs, and the constants
 * that are set before loading. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "shared.h"

const volatile __u32 mark_mask = 0xf00;
const volatile __u32 mark_deliver = 0x200;
const volatile __u32 mark_proxy = 0x300;
const volatile __u32 mark_reinject = 0x400;
const volatile __u32 report_allowed = 1;
/* Of each kind of event, and of drops that are alike. */
const volatile __u32 events_per_second_and_cpu = 1000;
const volatile __u32 like_drops_per_second = 10;
/* A run by BPF_PROG_RUN that must leave no trace: nothing is sent, and sockets are found but not assigned, which the
 * kernel refuses there. */
const volatile __u32 dry_run = 0;

/* Types that no map holds: clang describes in BTF only what a variable leads to, and the layout test asks for all. */
struct weir_described {
	struct weir_event event;
	enum weir_reason reason;
	enum weir_direction direction;
	enum weir_hook hook;
	enum weir_verdict verdict;
	enum weir_event_kind event_kind;
	enum weir_flow_flag flow_flag;
	enum weir_generation generation;
	enum weir_address_flag address_flag;
	enum weir_acceleration acceleration;
};
const volatile struct weir_described *const volatile weir_described = 0;

#define WEIR_MAP(NAME, TYPE, KEY, VALUE, SIZE, FLAGS)                                                        \
	struct {                                                                                             \
		__uint(type, TYPE);                                                                          \
		__uint(max_entries, SIZE);                                                                   \
		__uint(map_flags, FLAGS);                                                                    \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                                         \
		__type(key, KEY);                                                                            \
		__type(value, VALUE);                                                                        \
	} NAME SEC(".maps")

WEIR_MAP(endpoints, BPF_MAP_TYPE_HASH, __u32, struct weir_endpoint, 16384, 0);
WEIR_MAP(local_addresses, BPF_MAP_TYPE_HASH, struct weir_address, struct weir_local_address, 16384, 0);
WEIR_MAP(ipcache, BPF_MAP_TYPE_LPM_TRIE, struct weir_prefix, __u32, 524288, BPF_F_NO_PREALLOC);
/* Where this node's workloads have their addresses, and nobody else but the node. */
WEIR_MAP(workload_prefixes, BPF_MAP_TYPE_LPM_TRIE, struct weir_prefix, __u8, 256, BPF_F_NO_PREALLOC);
/* An array: the verifier turns its look-ups into two loads, and each packet makes two. */
WEIR_MAP(subjects, BPF_MAP_TYPE_ARRAY, __u32, struct weir_subject, 65536, 0);
/* Policy in two levels: who the peer is leads to a table, protocol and port to a verdict in it. Hashes, whose look-ups
 * cost the same at 10 entries and at 1,000,000 (make bench-policy-map); those of an LPM trie grow with its depth. They
 * take memory as they fill, and 16 bytes for each entry that they could hold. */
WEIR_MAP(policy_peers, BPF_MAP_TYPE_HASH, struct weir_peer_key, struct weir_table, 2097152, BPF_F_NO_PREALLOC);
WEIR_MAP(policy_tables, BPF_MAP_TYPE_HASH, struct weir_table_key, struct weir_policy_value, 262144, BPF_F_NO_PREALLOC);
WEIR_MAP(pairs, BPF_MAP_TYPE_HASH, struct weir_pair, struct weir_pair_value, 65536, BPF_F_NO_PREALLOC);
WEIR_MAP(widenings, BPF_MAP_TYPE_HASH, struct weir_widening, __u8, 65536, BPF_F_NO_PREALLOC);
WEIR_MAP(conntrack, BPF_MAP_TYPE_LRU_HASH, struct weir_flow_key, struct weir_flow, 262144, 0);
WEIR_MAP(fragments, BPF_MAP_TYPE_LRU_HASH, struct weir_fragment_key, __u64, 4096, 0);
WEIR_MAP(state, BPF_MAP_TYPE_ARRAY, __u32, struct weir_state, 1, 0);
WEIR_MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, WEIR_REASONS, 0);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

/* Packets dropped, and connections allowed and redirected, of each workload. */
WEIR_MAP(outcomes, BPF_MAP_TYPE_PERCPU_HASH, struct weir_outcome_key, __u64, 65536, BPF_F_NO_PREALLOC);

/* How many events there were in the second that began at `since_ns`. */
struct report_budget {
	__u64 since_ns;
	__u64 spent;
};
/* By kind of event, so that a flood of drops hides no redirect. */
WEIR_MAP(report_budgets, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct report_budget, 4, 0);
/* Of ICMP errors. */
WEIR_MAP(unreachable_budgets, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct report_budget, 1, 0);
WEIR_MAP(like_drops, BPF_MAP_TYPE_LRU_HASH, struct weir_event_kind_key, struct report_budget, 4096, 0);
