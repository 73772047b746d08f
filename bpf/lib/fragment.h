/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Later fragments carry no ports. The first one, once it has passed, lets those with the same id and addresses
 * pass for two seconds; those that come before it are dropped, and the sender's protocol repeats them. What goes
 * to the proxy is not let in pieces: TCP's senders probe the path and do not fragment. */
#pragma once
#include "report.h"

/* Functions of their own, or their keys would lie on the caller's stack (512 bytes for a whole chain of calls). */

/* Whether the address is one of the workload behind this interface. */
static __noinline int owns(struct __sk_buff *skb, const struct weir_address *address)
{
	struct weir_local_address *local = bpf_map_lookup_elem(&local_addresses, address);

	return local && local->ifindex == skb->ifindex;
}

#define FRAGMENTS_NS (2 * NANOSECONDS)

static __always_inline struct weir_fragment_key fragment_key(const struct packet *packet)
{
	return (struct weir_fragment_key){
		.source = packet->source,
		.destination = packet->destination,
		.id = packet->fragment_id,
	};
}

static __noinline void expect_fragments(const struct packet *packet)
{
	struct weir_fragment_key key = fragment_key(packet);
	__u64 now = bpf_ktime_get_coarse_ns();

	bpf_map_update_elem(&fragments, &key, &now, BPF_ANY);
}

static __noinline int is_expected(const struct packet *packet)
{
	struct weir_fragment_key key = fragment_key(packet);
	__u64 *first = bpf_map_lookup_elem(&fragments, &key);

	return first && bpf_ktime_get_coarse_ns() - *first < FRAGMENTS_NS;
}
