// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Ingress of an interface that leads to the rest of the world. It judges nothing that is new: that happens where it
 * reaches a workload. But segments of connections that the proxy holds must be told to stay here before the stack
 * looks at them: early demultiplexing finds the proxy's socket, the route leads on to the workload, and ip_forward
 * drops what has a socket (seen on 6.18). */
#include "../lib/flow.h"
#include "../lib/proxy-leg.h"
#include "../lib/reset.h"
#include "../lib/translation.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Resets the peer outside and the proxy, for `reason`. */
static __always_inline int end(struct __sk_buff *skb, const struct packet *packet, struct decision *decision,
			       enum weir_reason reason)
{
	drop(skb, packet, decision, WEIR_FROM_NETWORK, reason);
	if (end_both(skb, packet, WEIR_FROM_NETWORK))
		return DROP;
	set_mark(skb, mark_deliver);
	return PASS;
}

/* Ends a living connection for `reason`; of two that share an entry the one that the proxy has lost alone. */
static __always_inline int cut(struct __sk_buff *skb, const struct packet *packet, struct weir_flow *flow,
			       struct decision *decision, enum weir_reason reason)
{
	if (reason != WEIR_PROXY_LEG_UNKNOWN)
		flow->flags |= WEIR_CUT;
	return end(skb, packet, decision, reason);
}

/* An answer to a connection that left under the node's own address (MASQUERADE) is known by the address that it has
 * inside: the stack will give it back, but only after this hook. Resets are written as the packet came. */
static __noinline void as_answered(struct __sk_buff *skb, struct packet *packet)
{
	struct packet original = {};

	if (!bpf_map_lookup_elem(&local_addresses, &packet->destination) && find_original(skb, packet, &original))
		turn(packet, &original);
}

/* In this order:
 *   1. what cannot be parsed passes: its own hook drops it;
 *   2. an address of a workload here does not come from outside: dropped;
 *   3. what is not TCP, or opens a connection, passes: its own hook judges it;
 *   4. ICMP errors about what the proxy sent are delivered to it;
 *   5. the first answer to a connection that the proxy opened is delivered to it, and judged and remembered when it
 *      accepts; an open one that was forgotten is reset;
 *   6. a connection that is not the proxy's passes;
 *   7. the proxy's connections are cut, judged anew or reset as everywhere, else delivered to it. */
SEC("tc")
int from_network(struct __sk_buff *skb)
{
	struct standing standing = {};
	struct packet packet = {}, known;
	struct decision decision = { .direction = WEIR_INGRESS };
	struct weir_flow *flow;
	enum leg leg;
	__u32 reason;

	/* Nobody outside may set our marks (they do not cross machines; another program might have). */
	if (!has_mark(skb, 0))
		set_mark(skb, 0);
	if (parse(skb, &packet) != PARSED)
		return PASS;
	if (!packet.quoted && bpf_map_lookup_elem(&local_addresses, &packet.source))
		return drop(skb, &packet, &decision, WEIR_FROM_NETWORK, WEIR_SOURCE_NOT_OWNED);
	if (packet.protocol != IPPROTO_TCP || packet.later_fragment || opens(&packet))
		return PASS;
	known = packet;
	if (!packet.quoted)
		as_answered(skb, &known);
	find_flow(&known, &standing);
	flow = standing.flow;
	if (packet.quoted) {
		if ((flow && (flow->flags & WEIR_LEG) && !(flow->flags & WEIR_CUT)) || quotes_opening(skb, &packet))
			set_mark(skb, mark_deliver);
		return PASS;
	}
	/* Legs have the addresses of workloads here; for what belongs to the node itself nobody looks. */
	leg = flow || bpf_map_lookup_elem(&local_addresses, &known.destination)
		      ? hear_leg(skb, &known, &standing, &decision)
		      : NO_LEG;
	if (leg == LEG_REFUSED)
		return end(skb, &packet, &decision, decision.reason);
	if (leg == LEG_OPENS) {
		set_mark(skb, mark_deliver);
		return PASS;
	}
	if (!flow || !is_proxied(flow))
		return PASS;
	if (flow->flags & WEIR_CUT)
		return cut(skb, &packet, flow, &decision, WEIR_PERMISSION_LOST);
	if (!is_current(flow)) {
		reason = rejudge(skb->ifindex, &known, &standing, &decision, WEIR_FROM_NETWORK);
		if (reason)
			return cut(skb, &packet, flow, &decision, reason);
	}
	if (touch_and_ask(skb, &known, &standing))
		return cut(skb, &packet, flow, &decision, WEIR_PROXY_LEG_UNKNOWN);
	set_mark(skb, mark_deliver);
	return PASS;
}
