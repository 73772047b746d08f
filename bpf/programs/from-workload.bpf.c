// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Ingress of the host side of a workload's veth: everything the workload sends, and what to_workload sent round
 * because only this side can hand packets to the proxy. */
#include "../lib/flow.h"
#include "../lib/fragment.h"
#include "../lib/neighbour.h"
#include "../lib/proxy-listener.h"
#include "../lib/reset.h"
#include "../lib/taken-leg.h"
#include "../lib/untranslate.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Goes where the flow goes: what a workload sends on a proxied connection to the local stack, which finds the proxy's
 * sockets by their addresses. A refusal that comes by here may be for either end. */
static __always_inline int forward(struct __sk_buff *skb, const struct packet *packet,
				   const struct standing *standing)
{
	if (is_refusal(skb, packet) ? is_for_proxy(standing, packet) : is_proxied(standing->flow))
		set_mark(skb, mark_deliver);
	else if (has_mark(skb, mark_reinject))
		set_mark(skb, 0);
	return PASS;
}

/* Ends a living connection for `reason`; of two that share an entry the one that the proxy has lost alone. */
static __always_inline int cut(struct __sk_buff *skb, const struct packet *packet, struct standing *standing,
			       struct decision *decision, enum weir_reason reason)
{
	struct weir_flow *flow = standing->flow;

	drop(skb, packet, decision, WEIR_FROM_WORKLOAD, reason);
	if (flow && reason != WEIR_PROXY_LEG_UNKNOWN)
		flow->flags |= WEIR_CUT;
	if (end_both(skb, packet, WEIR_FROM_WORKLOAD))
		return DROP;
	/* Else it keeps the mark of a refusal, which to_workload lets pass. */
	if (flow && is_proxied(flow))
		set_mark(skb, mark_deliver);
	return PASS;
}

/* Drops what policy or proxy refuse, with an answer when the workload gives any. */
static __always_inline int refused(struct __sk_buff *skb, const struct packet *packet, struct decision *decision,
				   enum weir_reason reason, __u32 hook)
{
	drop(skb, packet, decision, WEIR_FROM_WORKLOAD, reason);
	refuse(skb, packet, decision, hook);
	return DROP;
}

/* The first packet of a connection, or one in mid-stream that nobody remembers. */
static __noinline int open_flow(struct __sk_buff *skb, const struct packet *packet, struct standing *standing,
				     struct decision *decision)
{
	struct weir_flow fresh = {
		.flags = standing->sender_is_low ? WEIR_SOURCE_IS_LOW : 0,
		.source.identity = IDENTITY_WORLD,
	};
	struct weir_flow *living = standing->flow;
	enum weir_verdict verdict;
	__u32 reason;

	verdict = judge(packet, &fresh, decision);
	if (fresh.source.ifindex != skb->ifindex) {
		decision->direction = WEIR_EGRESS;
		return drop(skb, packet, decision, WEIR_FROM_WORKLOAD, not_owned(skb));
	}
	if (verdict == WEIR_DENY)
		return refused(skb, packet, decision, decision->reason, WEIR_FROM_WORKLOAD);
	/* Both ends open at once: the second one may, but the entry stays the first one's. */
	if (living && !standing->forward && !is_finished(living)) {
		if (verdict == WEIR_L7 || living->proxy_port)
			return drop(skb, packet, decision, WEIR_FROM_WORKLOAD, WEIR_PROXY_REQUIRED);
		return PASS;
	}
	if (verdict == WEIR_L7) {
		if (!opens(packet))
			return cut(skb, packet, standing, decision, WEIR_PROXY_REQUIRED);
		if (packet->first_fragment)
			return drop(skb, packet, decision, WEIR_FROM_WORKLOAD, WEIR_FRAGMENT_UNKNOWN);
		fresh.proxy_port = decision->proxy_port;
		fresh.flags |= inherited(living, 0);
		if (remember(standing, &fresh))
			return drop(skb, packet, decision, WEIR_FROM_WORKLOAD, WEIR_CONNTRACK_REFUSED);
		reason = to_listener(skb, packet, decision->proxy_port);
		if (reason)
			return refused(skb, packet, decision, reason, WEIR_FROM_WORKLOAD);
		count(WEIR_REDIRECTED);
		tell(skb, packet, decision, WEIR_EVENT_REDIRECT << 8 | WEIR_FROM_WORKLOAD);
		return PASS;
	}
	if (opens(packet) && ends_leg(skb, packet, living)) {
		drop(skb, packet, decision, WEIR_FROM_WORKLOAD, WEIR_PORT_IN_USE);
		return PASS;
	}
	if (remember(standing, &fresh))
		return drop(skb, packet, decision, WEIR_FROM_WORKLOAD, WEIR_CONNTRACK_REFUSED);
	if (packet->first_fragment)
		expect_fragments(packet);
	count(WEIR_ALLOWED);
	tell(skb, packet, decision, WEIR_EVENT_ALLOW << 8 | WEIR_FROM_WORKLOAD);
	return PASS;
}

/* What to_workload judged and sent round. The mark cannot come from a workload: it is cleared between network
 * namespaces. */
static __always_inline int sent_round(struct __sk_buff *skb, const struct packet *packet, struct standing *standing,
				      struct decision *decision)
{
	struct weir_flow *flow = standing->flow;
	__u32 reason;

	/* Its Ethernet header names the workload as receiver. */
	bpf_skb_change_type(skb, 0 /* PACKET_HOST */);
	if (!flow && is_refusal(skb, packet)) {
		/* What nobody remembers is the proxy's if it has a socket for it. */
		set_mark(skb, has_socket(skb, packet) ? mark_deliver : 0);
		return PASS;
	}
	if (!flow)
		return drop(skb, packet, decision, WEIR_FROM_WORKLOAD, WEIR_NO_CONNECTION);
	if (opens(packet) && flow->proxy_port) {
		decision->direction = WEIR_INGRESS;
		decision->source_identity = flow->source.identity;
		decision->destination_identity = flow->destination.identity;
		decision->egress_set = flow->source.set;
		decision->ingress_set = flow->destination.set;
		decision->proxy_port = flow->proxy_port;
		reason = to_listener(skb, packet, flow->proxy_port);
		if (reason)
			return refused(skb, packet, decision, reason, WEIR_TO_WORKLOAD);
		untranslate(skb, packet);
		count(WEIR_REDIRECTED);
		tell(skb, packet, decision, WEIR_EVENT_REDIRECT << 8 | WEIR_FROM_WORKLOAD);
		return PASS;
	}
	untranslate(skb, packet);
	return forward(skb, packet, standing);
}

/* What to_workload has found to be the proxy's. */
static __always_inline int handed_over(struct __sk_buff *skb, const struct packet *packet)
{
	bpf_skb_change_type(skb, 0 /* PACKET_HOST */);
	untranslate(skb, packet);
	return PASS;
}

/* In this order:
 *   1. ARP passes under the workload's own addresses; other families, source routes and what cannot be parsed are
 *      dropped;
 *   2. neighbour discovery passes as far as the link goes, under the workload's own addresses;
 *   3. later fragments follow their first, if the workload owns the address;
 *   4. what was handed over or sent round is delivered;
 *   5. ICMP errors pass when they answer a connection of this workload that is tracked and not proxied;
 *   6. a tracked connection: only its owner may speak for it; cut connections stay cut; a newer policy judges it
 *      anew; what the proxy has no socket for any more is reset; else it goes on;
 *   7. what asks for a connection (TCP SYN, SCTP INIT), and whatever is not tracked, is judged as a new one. What
 *      could only be an answer is not. */
SEC("tc")
int from_workload(struct __sk_buff *skb)
{
	struct standing standing = {};
	struct packet packet = {};
	struct decision decision = { .direction = WEIR_EGRESS };
	struct weir_flow_end *sender;
	struct weir_flow *flow;
	__u32 reason;

	switch (parse(skb, &packet)) {
	case PARSED_ARP:
		if (is_honest_arp(skb))
			return PASS;
		return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, not_owned(skb));
	case PARSED_OTHER_FAMILY:
		return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_FAMILY_UNSUPPORTED);
	case PARSED_SOURCE_ROUTED:
		return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_SOURCE_ROUTED);
	case PARSED_BAD:
		return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_MALFORMED);
	case PARSED:
		break;
	}
	if (packet.neighbour && stays_on_link(skb, &packet)) {
		reason = neighbour_from_workload(skb, &packet);
		return reason ? drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, reason) : PASS;
	}
	if (packet.later_fragment) {
		if (!owns(skb, &packet.source))
			return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_SOURCE_NOT_OWNED);
		if (!is_expected(&packet))
			return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_FRAGMENT_UNKNOWN);
		return PASS;
	}

	find_flow(&packet, &standing);
	if (has_mark(skb, mark_deliver))
		return handed_over(skb, &packet);
	if (has_mark(skb, mark_reinject))
		return sent_round(skb, &packet, &standing, &decision);
	flow = standing.flow;
	if (packet.quoted) {
		/* The quoted packet came to this workload: its receiver is who speaks. */
		if (!flow || !packet.quoted_by_destination || (flow->flags & WEIR_CUT) ||
		    (standing.forward ? flow->destination.ifindex : flow->source.ifindex) != skb->ifindex)
			return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_NO_CONNECTION);
		return forward(skb, &packet, &standing);
	}
	if (flow && !opens(&packet)) {
		sender = standing.forward ? &flow->source : &flow->destination;
		if (flow->flags & WEIR_CUT) {
			if (sender->ifindex != skb->ifindex)
				return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_SOURCE_NOT_OWNED);
			return cut(skb, &packet, &standing, &decision, WEIR_PERMISSION_LOST);
		}
		if (!is_current(flow)) {
			reason = rejudge(skb->ifindex, &packet, &standing, &decision, WEIR_FROM_WORKLOAD);
			if (reason == WEIR_SOURCE_NOT_OWNED)
				return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, reason);
			if (reason)
				return cut(skb, &packet, &standing, &decision, reason);
		} else if (sender->ifindex != skb->ifindex) {
			return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_SOURCE_NOT_OWNED);
		}
		if (touch_and_ask(skb, &packet, &standing))
			return cut(skb, &packet, &standing, &decision, WEIR_PROXY_LEG_UNKNOWN);
		if (packet.first_fragment && is_proxied(flow))
			return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_FRAGMENT_UNKNOWN);
		if (packet.first_fragment)
			expect_fragments(&packet);
		return forward(skb, &packet, &standing);
	}
	if (!flow && (packet.part & PART_ANSWERS))
		return drop(skb, &packet, &decision, WEIR_FROM_WORKLOAD, WEIR_NO_CONNECTION);
	return open_flow(skb, &packet, &standing, &decision);
}
