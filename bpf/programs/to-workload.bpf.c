// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Egress of the host side of a workload's veth: everything that is about to reach the workload. */
#include "../lib/flow.h"
#include "../lib/fragment.h"
#include "../lib/held.h"
#include "../lib/proxy-leg.h"
#include "../lib/reset.h"
#include "../lib/taken-leg.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* bpf_sk_assign and delivery to a socket work at ingress only: the packet comes in again as if from the workload,
 * and from_workload, which sees the mark, hands it over. */
static __always_inline int send_round(struct __sk_buff *skb)
{
	set_mark(skb, mark_reinject);
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

/* The same for what is the proxy's, whatever is remembered of it. */
static __always_inline int hand_over(struct __sk_buff *skb)
{
	set_mark(skb, mark_deliver);
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

/* Goes where the flow goes: to the workload what is not proxied or comes from the proxy, to the proxy the rest. A reset
 * that was sent round would be taken for one that these programs made. */
static __always_inline int forward(struct __sk_buff *skb, const struct packet *packet, const struct weir_flow *flow,
				   int from_proxy)
{
	if (!is_proxied(flow) || from_proxy)
		return PASS;
	return packet->tcp_flags & TCP_RST ? hand_over(skb) : send_round(skb);
}

/* Ends a living connection for `reason`; of two that share an entry the one that the proxy has lost alone. */
static __always_inline int cut(struct __sk_buff *skb, const struct packet *packet, struct standing *standing,
			       struct decision *decision, enum weir_reason reason, int from_proxy)
{
	struct weir_flow *flow = standing->flow;

	drop(skb, packet, decision, WEIR_TO_WORKLOAD, reason);
	if (flow && reason != WEIR_PROXY_LEG_UNKNOWN)
		flow->flags |= WEIR_CUT;
	if (end_both(skb, packet, WEIR_TO_WORKLOAD))
		return DROP;
	return flow ? forward(skb, packet, flow, from_proxy) : PASS;
}

/* A workload's address on a packet that did not come in through its interface, nor from the proxy. Asked of what is
 * new here and of what was judged here alone: from_workload has asked of the rest. */
static __always_inline int is_borrowed(struct __sk_buff *skb, const struct weir_flow_end *sender)
{
	return sender->ifindex && sender->ifindex != skb->ingress_ifindex && !has_mark(skb, mark_proxy);
}

/* Whose an unknown source address is. What this node sends has come in through no interface; but so has what the proxy
 * sends for others, and there the address itself must tell. */
static __noinline __u32 unknown_source(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_fib_lookup route = { .ifindex = skb->ifindex };
	long found;

	if (skb->ingress_ifindex)
		return IDENTITY_WORLD;
	if (!has_mark(skb, mark_proxy))
		return IDENTITY_HOST;
	if (is_ipv4(&packet->source)) {
		route.family = AF_INET;
		route.ipv4_dst = packet->source.words[3];
	} else {
		route.family = AF_INET6;
		for (int i = 0; i < 4; i++)
			route.ipv6_dst[i] = packet->source.words[i];
	}
	found = bpf_fib_lookup(skb, &route, sizeof(route), BPF_FIB_LOOKUP_SKIP_NEIGH);
	return found == BPF_FIB_LKUP_RET_NOT_FWDED ? IDENTITY_HOST : IDENTITY_WORLD;
}

/* The first packet of a connection, or one in mid-stream that nobody remembers. `flags` say as what it is judged. */
static __noinline int open_flow(struct __sk_buff *skb, const struct packet *packet, struct standing *standing,
				     struct decision *decision, __u16 flags)
{
	struct weir_flow fresh = {
		.flags = flags | (standing->sender_is_low ? WEIR_SOURCE_IS_LOW : 0),
		.source.identity = unknown_source(skb, packet),
	};
	struct weir_flow *living = standing->flow;
	enum weir_verdict verdict;

	verdict = judge(packet, &fresh, decision);
	if (fresh.destination.ifindex != skb->ifindex)
		return drop(skb, packet, decision, WEIR_TO_WORKLOAD, WEIR_ENDPOINT_UNKNOWN);
	if (is_borrowed(skb, &fresh.source))
		return drop(skb, packet, decision, WEIR_TO_WORKLOAD, WEIR_SOURCE_NOT_OWNED);
	if (verdict == WEIR_DENY) {
		drop(skb, packet, decision, WEIR_TO_WORKLOAD, decision->reason);
		refuse(skb, packet, decision, WEIR_TO_WORKLOAD);
		return DROP;
	}
	if (flags & WEIR_LEG) {
		/* The port and the sets the proxy acts under, should the policy narrow. */
		fresh.proxy_port = decision->proxy_port;
		fresh.flags |= inherited(living, WEIR_LEG);
		if (remember(standing, &fresh))
			return drop(skb, packet, decision, WEIR_TO_WORKLOAD, WEIR_CONNTRACK_REFUSED);
		return PASS;
	}
	/* Both ends open at once: the second one may, but the entry stays the first one's. */
	if (living && !standing->forward && !is_finished(living)) {
		if (verdict == WEIR_L7 || living->proxy_port)
			return drop(skb, packet, decision, WEIR_TO_WORKLOAD, WEIR_PROXY_REQUIRED);
		return PASS;
	}
	if (verdict == WEIR_L7 && !opens(packet))
		return cut(skb, packet, standing, decision, WEIR_PROXY_REQUIRED, 0);
	if (verdict == WEIR_L7 && packet->first_fragment)
		return drop(skb, packet, decision, WEIR_TO_WORKLOAD, WEIR_FRAGMENT_UNKNOWN);
	if (verdict == WEIR_ALLOW && opens(packet) && ends_leg(skb, packet, living)) {
		drop(skb, packet, decision, WEIR_TO_WORKLOAD, WEIR_PORT_IN_USE);
		set_mark(skb, 0);
		return PASS;
	}
	fresh.proxy_port = decision->proxy_port;
	if (verdict == WEIR_L7)
		fresh.flags |= inherited(living, 0);
	if (remember(standing, &fresh))
		return drop(skb, packet, decision, WEIR_TO_WORKLOAD, WEIR_CONNTRACK_REFUSED);
	if (verdict == WEIR_L7)
		return send_round(skb);
	if (packet->first_fragment)
		expect_fragments(packet);
	count(WEIR_ALLOWED);
	tell(skb, packet, decision, WEIR_EVENT_ALLOW << 8 | WEIR_TO_WORKLOAD);
	return PASS;
}

/* A neighbour message for a workload. Routes come from the node itself, and nothing has been forwarded.
 * Gives 0 or the reason to drop it. */
static __always_inline __u32 neighbour_to_workload(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 type = packet->neighbour;

	if (packet->hop_limit != due_hop_limit(type) ||
	    ((type == ND_ROUTER_ADVERTISEMENT || type == ND_REDIRECT) && skb->ingress_ifindex))
		return WEIR_NEIGHBOUR_REFUSED;
	return 0;
}

/* In this order:
 *   1. ARP passes; other families, source routes and what cannot be parsed are dropped;
 *   2. resets and errors that these programs made pass; so does neighbour discovery from the link;
 *   3. later fragments follow their first, if the workload owns the address;
 *   4. ICMP errors pass when they answer a connection of this workload that is tracked, or what opens a leg;
 *   5. the first answer to a connection that the proxy opened is handed over to it, and judged and remembered when it
 *      accepts; an open one that was forgotten is reset;
 *   6. a tracked connection: cut ones stay cut; a newer policy judges it anew; who borrows another workload's
 *      address is dropped; what the proxy has no socket for is reset; else it goes on, to the workload or to the proxy;
 *   7. the proxy's opening segments are judged as those of whom they are sent for; other segments of the proxy
 *      that are not tracked are answered by resets;
 *   8. what asks for a connection, and whatever is not tracked, is judged as a new one, ingress only: what a workload
 *      here sent was judged where it came from. What could only be an answer is not. */
SEC("tc")
int to_workload(struct __sk_buff *skb)
{
	struct standing standing = {};
	struct packet packet = {};
	struct decision decision = { .direction = WEIR_INGRESS };
	int from_proxy = has_mark(skb, mark_proxy);
	struct weir_flow_end *receiver;
	struct weir_flow *flow;
	__u32 reason;

	switch (parse(skb, &packet)) {
	case PARSED_ARP:
		return PASS;
	case PARSED_OTHER_FAMILY:
		return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_FAMILY_UNSUPPORTED);
	case PARSED_SOURCE_ROUTED:
		return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_SOURCE_ROUTED);
	case PARSED_BAD:
		return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_MALFORMED);
	case PARSED:
		break;
	}
	if (is_refusal(skb, &packet)) {
		set_mark(skb, 0);
		return PASS;
	}
	if (packet.neighbour) {
		reason = neighbour_to_workload(skb, &packet);
		return reason ? drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, reason) : PASS;
	}
	if (packet.later_fragment) {
		if (!owns(skb, &packet.destination))
			return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_ENDPOINT_UNKNOWN);
		if (!is_expected(&packet))
			return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_FRAGMENT_UNKNOWN);
		return PASS;
	}

	find_flow(&packet, &standing);
	flow = standing.flow;
	if (packet.quoted) {
		if (!flow && quotes_opening(skb, &packet))
			return hand_over(skb);
		/* The quoted packet's sender is who the error goes to. */
		if (!flow || (flow->flags & WEIR_CUT) ||
		    (standing.forward ? flow->source.ifindex : flow->destination.ifindex) != skb->ifindex)
			return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_NO_CONNECTION);
		/* What the proxy sent for the workload is the proxy's to know. */
		return flow->flags & WEIR_LEG ? send_round(skb) : PASS;
	}
	switch (from_proxy ? NO_LEG : hear_leg(skb, &packet, &standing, &decision)) {
	case LEG_REFUSED:
		drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, decision.reason);
		return end_both(skb, &packet, WEIR_TO_WORKLOAD) ? DROP : hand_over(skb);
	case LEG_OPENS:
		return hand_over(skb);
	default:
		break;
	}
	if (flow && !opens(&packet)) {
		if (flow->flags & WEIR_CUT)
			return cut(skb, &packet, &standing, &decision, WEIR_PERMISSION_LOST, from_proxy);
		receiver = standing.forward ? &flow->destination : &flow->source;
		if (!is_current(flow) || receiver->ifindex != skb->ifindex) {
			reason = rejudge(skb->ifindex, &packet, &standing, &decision, WEIR_TO_WORKLOAD);
			if (reason == WEIR_ENDPOINT_UNKNOWN)
				return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, reason);
			if (reason)
				return cut(skb, &packet, &standing, &decision, reason, from_proxy);
		}
		if ((flow->flags & WEIR_INGRESS_ONLY) && standing.forward && is_borrowed(skb, &flow->source))
			return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_SOURCE_NOT_OWNED);
		/* To no interface, which drops it as well, but is no error to the sender: after one its TCP would
		 * take the segment for unsent, and try again only with the next probe (200 ms or more). */
		if (from_proxy && is_held(skb, &packet, &standing))
			return bpf_redirect(0, 0);
		if (from_proxy)
			touch_for(&standing, &packet, !is_for_proxy(&standing, &packet));
		else if (touch_and_ask(skb, &packet, &standing))
			return cut(skb, &packet, &standing, &decision, WEIR_PROXY_LEG_UNKNOWN, from_proxy);
		if (packet.first_fragment && is_proxied(flow))
			return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_FRAGMENT_UNKNOWN);
		if (packet.first_fragment)
			expect_fragments(&packet);
		return forward(skb, &packet, flow, from_proxy);
	}
	if (from_proxy) {
		if (packet.protocol == IPPROTO_TCP && !opens(&packet))
			return cut(skb, &packet, &standing, &decision, WEIR_PROXY_LEG_UNKNOWN, from_proxy);
		if (!flow && (packet.part & PART_ANSWERS))
			return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_NO_CONNECTION);
		return open_flow(skb, &packet, &standing, &decision, WEIR_LEG);
	}
	if (!flow && (packet.part & PART_ANSWERS))
		return drop(skb, &packet, &decision, WEIR_TO_WORKLOAD, WEIR_NO_CONNECTION);
	/* A SYN that from_workload let pass a moment ago. */
	if (flow && standing.forward && !is_finished(flow) && is_current(flow) &&
	    flow->destination.ifindex == skb->ifindex && !flow->proxy_port && !(flow->flags & WEIR_INGRESS_ONLY))
		return PASS;
	return open_flow(skb, &packet, &standing, &decision, WEIR_INGRESS_ONLY);
}
