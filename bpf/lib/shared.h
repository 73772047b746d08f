/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every structure that the programs and the TypeScript side both read. src/layouts.ts says the same, and
 * tests/bpf/layout.test.ts compares the two through BTF. Numbers are in host order, ports marked __be16 in
 * network order, addresses 16 bytes (IPv4 as ::ffff:a.b.c.d).
 *
 * A change here raises WEIR_LAYOUT. Maps of another layout are left as they are until the new ones are filled and every
 * program is replaced; living connections and pairs are carried over field by field, by name. So a field that is new in
 * them must mean "as before" when it is 0, and one that changes its meaning changes its name. */
#pragma once
#include <linux/types.h>

#define WEIR_LAYOUT 7

/* What was done with a packet and why; index of the counters. src/reasons.ts gives the names. */
enum weir_reason {
	WEIR_ALLOWED = 0,
	WEIR_REDIRECTED = 1,
	WEIR_REJUDGED = 2,
	WEIR_EVENT_LOST = 3,
	WEIR_RESET_SENT = 4,
	WEIR_UNREACHABLE_SENT = 5,
	WEIR_POLICY_DENY = 16,
	WEIR_POLICY_DEFAULT_DENY = 17,
	WEIR_PERMISSION_LOST = 18,
	WEIR_PROXY_REQUIRED = 19,
	WEIR_SOURCE_NOT_OWNED = 20,
	WEIR_L7_UNAVAILABLE = 21,
	WEIR_PROXY_MISSING = 22,
	WEIR_PROXY_FOREIGN = 23,
	WEIR_FAMILY_UNSUPPORTED = 24,
	WEIR_MALFORMED = 25,
	WEIR_FRAGMENT_UNKNOWN = 26,
	WEIR_ENDPOINT_UNKNOWN = 27,
	WEIR_CONNTRACK_REFUSED = 28,
	WEIR_NO_CONNECTION = 29,
	WEIR_PROXY_LEG_UNKNOWN = 30,
	WEIR_SOURCE_ROUTED = 31,
	WEIR_NEIGHBOUR_REFUSED = 32,
	WEIR_WORKLOAD_UNKNOWN = 33,
	WEIR_PORT_IN_USE = 34,
	WEIR_REASONS = 64,
};

/* Sockets, messages and segments, and whether they went around TCP; index of the counters.
 * src/acceleration.ts gives the names. */
enum weir_acceleration {
	WEIR_ACCELERATION_JOINED = 0,
	WEIR_ACCELERATION_BLOCKING = 1,
	WEIR_ACCELERATION_OPTION_REFUSED = 2,
	WEIR_ACCELERATED = 3,
	WEIR_ACCELERATION_ALONE = 4,
	WEIR_ACCELERATION_UNFIT = 5,
	WEIR_ACCELERATION_STALE = 6,
	WEIR_ACCELERATION_BEHIND_TCP = 7,
	WEIR_ACCELERATION_FULL = 8,
	WEIR_ACCELERATION_HELD = 9,
	WEIR_ACCELERATION_LEFT = 10,
	WEIR_ACCELERATION_COUNTS = 16,
};

enum weir_direction { WEIR_INGRESS = 0, WEIR_EGRESS = 1 };
enum weir_hook { WEIR_FROM_WORKLOAD = 0, WEIR_TO_WORKLOAD = 1, WEIR_FROM_NETWORK = 2, WEIR_GUARD = 3 };
enum weir_verdict { WEIR_ALLOW = 1, WEIR_DENY = 2, WEIR_L7 = 3 };
enum weir_event_kind { WEIR_EVENT_DROP = 1, WEIR_EVENT_ALLOW = 2, WEIR_EVENT_REDIRECT = 3 };

enum weir_flow_flag {
	/* The end that is `low` in the key opened the connection. */
	WEIR_SOURCE_IS_LOW = 1 << 0,
	/* Judged at the hook of its destination: the source's egress is not part of it. */
	WEIR_INGRESS_ONLY = 1 << 1,
	/* A connection of the proxy on behalf of the source. */
	WEIR_LEG = 1 << 2,
	/* The destination has answered. */
	WEIR_REPLIED = 1 << 3,
	WEIR_SOURCE_FINISHED = 1 << 4,
	WEIR_DESTINATION_FINISHED = 1 << 5,
	/* Lost its permission: every packet but a new SYN is dropped. */
	WEIR_CUT = 1 << 6,
	/* A client's connection and one of the proxy's on somebody's behalf have these addresses and ports. The entry is
	 * of one of them; of the other it is known which end has finished. */
	WEIR_SHARED = 1 << 7,
	WEIR_OTHER_SOURCE_FINISHED = 1 << 8,
	WEIR_OTHER_DESTINATION_FINISHED = 1 << 9,
};

struct weir_address {
	__u32 words[4];
};

struct weir_endpoint {
	__u32 identity;
	__u32 subject;
};

enum weir_address_flag {
	/* What this workload's policy refuses hears of it, instead of waiting in vain. */
	WEIR_ANSWERS_REFUSED = 1 << 0,
};

struct weir_local_address {
	__u32 ifindex;
	__u32 identity;
	__u32 subject;
	/* enum weir_address_flag */
	__u32 flags;
};

struct weir_prefix {
	__u32 prefix_length;
	struct weir_address address;
};

/* Which version of its policy is in force in each direction. A flow remembers, for each end, the one that judged it. */
enum weir_generation {
	/* None is known: everything is denied. */
	WEIR_GENERATION_NONE = 0,
	/* The direction is not enforced. */
	WEIR_GENERATION_OPEN = 1,
};

struct weir_subject {
	__u32 ingress;
	__u32 egress;
};

/* A peer under one version of a direction policy, which subjects of equal rules share; identity 0 is any peer that
 * has no entry of its own. */
struct weir_peer_key {
	__u32 generation;
	__u32 identity;
};

/* `lengths`: bit n is set where the table has entries of port prefix length n, WEIR_ANY_PROTOCOL where it has one for
 * every protocol and port. */
struct weir_table {
	__u32 table;
	__u32 lengths;
};

#define WEIR_PORT_BITS 16
#define WEIR_ANY_PROTOCOL (1u << 17)

/* `port` without the bits that its prefix length leaves out; protocol 0 with port 0 is every protocol and port. */
struct weir_table_key {
	__u32 table;
	__u16 port;
	__u8 protocol;
	__u8 length;
};

struct weir_policy_value {
	__u32 set;
	__u8 verdict;
	__u8 reserved[3];
};

struct weir_pair {
	__u32 egress_set;
	__u32 ingress_set;
};

struct weir_pair_value {
	__u16 proxy_port;
	__u16 reserved;
};

struct weir_widening {
	__u32 from;
	__u32 to;
};

/* The two ends in address order, so that both directions of a connection find the same entry. */
struct weir_flow_key {
	struct weir_address low;
	struct weir_address high;
	__be16 low_port;
	__be16 high_port;
	__u8 protocol;
	__u8 reserved[3];
};

struct weir_flow_end {
	__u32 ifindex;
	__u32 identity;
	__u32 subject;
	__u32 generation;
	__u32 set;
};

struct weir_flow {
	__u64 last_seen_ns;
	struct weir_flow_end source;
	struct weir_flow_end destination;
	__u32 ipcache_epoch;
	__u16 proxy_port;
	__u16 flags;
};

struct weir_fragment_key {
	struct weir_address source;
	struct weir_address destination;
	__u32 id;
};

struct weir_state {
	__u32 ipcache_epoch;
};

/* Which packets of which workload: the interface, its direction, what became of them. */
struct weir_outcome_key {
	__u32 ifindex;
	__u8 direction;
	__u8 reason;
	__u16 reserved;
};

/* Events that say the same but for addresses of equal identity and source ports. */
struct weir_event_kind_key {
	__u32 source_identity;
	__u32 destination_identity;
	__u32 ifindex;
	__be16 destination_port;
	__u8 protocol;
	__u8 reason;
};

struct weir_event {
	__u64 timestamp_ns;
	struct weir_address source;
	struct weir_address destination;
	__u32 source_identity;
	__u32 destination_identity;
	__u32 egress_set;
	__u32 ingress_set;
	__u32 ifindex;
	/* Drops of this kind that were not told since the last one that was. */
	__u32 untold;
	__be16 source_port;
	__be16 destination_port;
	__u16 proxy_port;
	__u8 kind;
	__u8 reason;
	__u8 protocol;
	__u8 direction;
	__u8 hook;
	__u8 reserved;
};
