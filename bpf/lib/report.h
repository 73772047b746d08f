/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting and telling. Neither ever changes what happens to a packet. */
#pragma once
#include "packet.h"

#define NANOSECONDS 1000000000ULL

/* What was decided about a packet: all that an event tells beside the packet itself. */
struct decision {
	__u32 source_identity;
	__u32 destination_identity;
	__u32 egress_set;
	__u32 ingress_set;
	__u16 proxy_port;
	__u8 verdict;
	__u8 reason;
	__u8 direction;
};

static __always_inline void count(__u32 reason)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &reason);

	if (counter)
		*counter += 1;
}

static __always_inline int within_budget(__u64 now)
{
	__u32 zero = 0;
	struct report_budget *budget = bpf_map_lookup_elem(&report_budgets, &zero);

	if (!budget)
		return 0;
	if (now - budget->since_ns > NANOSECONDS) {
		budget->since_ns = now;
		budget->spent = 0;
	}
	budget->spent += 1;
	return budget->spent <= events_per_second_and_cpu;
}

static __noinline void tell(struct __sk_buff *skb, const struct packet *packet, const struct decision *decision,
			    __u32 kind_and_hook)
{
	__u64 now = bpf_ktime_get_ns();
	struct weir_event *event;

	if (!within_budget(now)) {
		count(WEIR_EVENT_LOST);
		return;
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(WEIR_EVENT_LOST);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->timestamp_ns = now;
	event->source = packet->source;
	event->destination = packet->destination;
	event->source_identity = decision->source_identity;
	event->destination_identity = decision->destination_identity;
	event->egress_set = decision->egress_set;
	event->ingress_set = decision->ingress_set;
	event->ifindex = skb->ifindex;
	event->source_port = packet->source_port;
	event->destination_port = packet->destination_port;
	event->proxy_port = decision->proxy_port;
	event->kind = kind_and_hook >> 8;
	event->reason = decision->reason;
	event->protocol = packet->protocol;
	event->direction = decision->direction;
	event->hook = kind_and_hook & 0xff;
	bpf_ringbuf_submit(event, 0);
}

/* Counts and tells a drop; gives what the program must return. */
static __always_inline int drop(struct __sk_buff *skb, const struct packet *packet, struct decision *decision,
				enum weir_hook hook, enum weir_reason reason)
{
	decision->reason = reason;
	count(reason);
	tell(skb, packet, decision, WEIR_EVENT_DROP << 8 | hook);
	return DROP;
}

/* Replaces our bits of the mark. */
static __always_inline void set_mark(struct __sk_buff *skb, __u32 mark)
{
	skb->mark = (skb->mark & ~mark_mask) | mark;
}

static __always_inline int has_mark(struct __sk_buff *skb, __u32 mark)
{
	return (skb->mark & mark_mask) == mark;
}
