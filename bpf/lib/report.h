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

static __noinline void count_outcome(__u32 ifindex, __u32 direction, __u32 reason)
{
	struct weir_outcome_key key = { .ifindex = ifindex, .direction = direction, .reason = reason };
	__u64 *counter = bpf_map_lookup_elem(&outcomes, &key), one = 1;

	if (counter)
		*counter += 1;
	else
		bpf_map_update_elem(&outcomes, &key, &one, BPF_NOEXIST);
}

static __always_inline int within(struct report_budget *budget, __u64 now, __u32 limit)
{
	if (now - budget->since_ns > NANOSECONDS) {
		budget->since_ns = now;
		budget->spent = 0;
	}
	budget->spent += 1;
	return budget->spent <= limit;
}

static __always_inline int within_budget(__u64 now, __u32 kind)
{
	struct report_budget *budget = bpf_map_lookup_elem(&report_budgets, &kind);

	return budget && within(budget, now, events_per_second_and_cpu);
}

/* Whether a drop is to be told, or enough of its like have been in this second. Gives how many were not told before
 * it, or -1. */
static __noinline long untold_before(__u32 ifindex, const struct packet *packet, const struct decision *decision,
				     __u64 now)
{
	struct weir_event_kind_key key = {
		.source_identity = decision->source_identity,
		.destination_identity = decision->destination_identity,
		.ifindex = ifindex,
		.destination_port = packet->destination_port,
		.protocol = packet->protocol,
		.reason = decision->reason,
	};
	struct report_budget *like = bpf_map_lookup_elem(&like_drops, &key);
	struct report_budget first = { .since_ns = now, .spent = 1 };
	__u64 spent;

	if (!like) {
		bpf_map_update_elem(&like_drops, &key, &first, BPF_ANY);
		return 0;
	}
	spent = like->spent;
	if (!within(like, now, like_drops_per_second))
		return -1;
	return like->spent == 1 && spent > like_drops_per_second ? spent - like_drops_per_second : 0;
}

/* Tells what became of a packet, and counts it for its workload. A flood must not hurt who listens: of drops that are
 * alike some in a second are told, of each kind of event some more, and the rest are counted. */
static __noinline void tell_of(__u32 ifindex, const struct packet *packet, const struct decision *decision,
			       __u32 kind_and_hook)
{
	__u32 kind = kind_and_hook >> 8, hook = kind_and_hook & 0xff;
	__u64 now = bpf_ktime_get_ns();
	struct weir_event *event;
	long untold = 0;

	count_outcome(ifindex,
		      kind == WEIR_EVENT_DROP ? decision->direction
					      : (hook == WEIR_FROM_WORKLOAD ? WEIR_EGRESS : WEIR_INGRESS),
		      kind == WEIR_EVENT_DROP	    ? decision->reason
		      : kind == WEIR_EVENT_REDIRECT ? WEIR_REDIRECTED
						    : WEIR_ALLOWED);
	if (kind == WEIR_EVENT_ALLOW && !report_allowed)
		return;
	if (kind == WEIR_EVENT_DROP)
		untold = untold_before(ifindex, packet, decision, now);
	if (untold < 0 || !within_budget(now, kind)) {
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
	event->ifindex = ifindex;
	event->untold = untold;
	event->source_port = packet->source_port;
	event->destination_port = packet->destination_port;
	event->proxy_port = decision->proxy_port;
	event->kind = kind;
	event->reason = decision->reason;
	event->protocol = packet->protocol;
	event->direction = decision->direction;
	event->hook = hook;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline void tell(struct __sk_buff *skb, const struct packet *packet, const struct decision *decision,
				 __u32 kind_and_hook)
{
	tell_of(skb->ifindex, packet, decision, kind_and_hook);
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

/* For the verifier: clang 14 keeps &skb->mark in a register when it is used often ("dereference of modified ctx ptr"). In
 * assembler the field is always an offset from the context. */
static __always_inline __u32 read_mark(struct __sk_buff *skb)
{
	__u64 mark;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(mark) : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, mark)));
	return mark;
}

/* Replaces our bits of the mark. */
static __always_inline void set_mark(struct __sk_buff *skb, __u32 mark)
{
	__u64 value = (read_mark(skb) & ~mark_mask) | mark;

	asm volatile("*(u32 *)(%0 + %1) = %2"
		     :
		     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, mark)), "r"(value)
		     : "memory");
}

static __always_inline int has_mark(struct __sk_buff *skb, __u32 mark)
{
	return (read_mark(skb) & mark_mask) == mark;
}
