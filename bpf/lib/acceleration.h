/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs of the sockhash path share. README.md, "Acceleration", argues it. */
#pragma once
/* Not every program judges anew, and only to_workload holds. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"
#include "flow.h"
#include "held.h"
#pragma clang diagnostic pop

/* Network namespace of the proxy (SO_NETNS_COOKIE). */
const volatile __u64 proxy_netns = 0;

/* One end of a TCP connection as itself sees it, with the numbers its two streams began at: no other connection, of
 * another time or another network namespace, has the same. */
struct end_key {
	struct weir_address local;
	struct weir_address remote;
	__u16 local_port;
	__u16 remote_port;
	__u32 sent_from;
	__u32 received_from;
};

/* The verdict that a connection was seen to have, and when (in jiffies, which programs read without a call). */
struct permission {
	__u64 seen;
	__u32 source_subject;
	__u32 source_generation;
	__u32 destination_subject;
	__u32 destination_generation;
	__u32 ipcache_epoch;
};

/* Kept with each socket of the sockhash, and with those that are watched for how their owner reads. What each message
 * asks for stands first, in one cache line. */
struct accelerated {
	struct end peer;
	struct permission permission;
	__u8 peer_is_proxy;
	/* How often the peer was looked for in vain. */
	__u8 searches;
	/* Sent urgent data: sends by TCP from then on. */
	__u8 urgent;
	struct end own;
	struct weir_flow_key flow;
	/* Its place in workload_ends. */
	struct weir_flow_key place;
	struct end_key peer_key;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, struct accelerated);
} accelerated_ends SEC(".maps");

/* Where the two ends of a connection find each other; needed for the moment of its beginning. */
WEIR_MAP(meeting_ends, BPF_MAP_TYPE_LRU_HASH, struct end_key, struct end, 16384, 0);
WEIR_MAP(acceleration_switch, BPF_MAP_TYPE_ARRAY, __u32, __u32, 1, 0);

static __always_inline int acceleration_is_on(void)
{
	__u32 zero = 0;
	__u32 *on = bpf_map_lookup_elem(&acceleration_switch, &zero);

	return on && *on;
}
