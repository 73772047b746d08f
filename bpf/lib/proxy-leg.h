/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections that the proxy opened to the outside: known by their sockets, remembered from their first answer. */
#pragma once
#include "flow.h"
#include "proxy-socket.h"

enum leg { NO_LEG, LEG_OPENS, LEG_IS_OPEN, LEG_REFUSED };

/* The leg that a segment answers, as the proxy's socket has it. */
static __noinline enum leg leg_of(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket = find_socket(skb, &tuple, tuple_of(packet, &tuple)), *own;
	enum leg leg = NO_LEG;

	if (!socket)
		return NO_LEG;
	own = as_proxys(socket);
	if (own)
		leg = own->state == BPF_TCP_SYN_SENT ? LEG_OPENS : LEG_IS_OPEN;
	bpf_sk_release(socket);
	return leg;
}

static __always_inline void reverse(struct packet *packet)
{
	struct weir_address source = packet->source;
	__be16 source_port = packet->source_port;

	packet->source = packet->destination;
	packet->source_port = packet->destination_port;
	packet->destination = source;
	packet->destination_port = source_port;
}

/* An answer from outside to a connection that the proxy opened on behalf of a workload here: its opening segment left
 * the node where no program of ours sits, so it is judged and remembered now. Gives 0 or the reason to drop it. */
static __noinline __u32 adopt_leg(const struct packet *packet, const struct standing *standing,
				  struct decision *decision)
{
	struct weir_flow fresh = { .flags = WEIR_LEG | (standing->sender_is_low ? 0 : WEIR_SOURCE_IS_LOW) };
	struct packet opening = *packet;

	reverse(&opening);
	if (judge(&opening, &fresh, decision) == WEIR_DENY)
		return decision->reason;
	if (!fresh.source.ifindex)
		return WEIR_ENDPOINT_UNKNOWN;
	fresh.proxy_port = decision->proxy_port;
	fresh.flags |= inherited(standing->flow, WEIR_LEG);
	return remember(standing, &fresh) ? WEIR_CONNTRACK_REFUSED : 0;
}

/* Whether a segment may be for a leg that its entry knows nothing of. No program sees what opens a leg to the outside: what
 * is remembered may be an earlier connection with its addresses and ports. A living one that an older policy let past the
 * proxy gives way only to what can be no part of it. */
static __always_inline int may_be_for_leg(const struct packet *packet, const struct weir_flow *flow)
{
	if (packet->protocol != IPPROTO_TCP || (packet->part & PART_OPENS))
		return 0;
	if (!flow || is_finished(flow))
		return 1;
	return (packet->part & PART_ANSWERS) && (is_proxied(flow) || !is_current(flow));
}

/* Whether a segment from outside is for a leg that is not, or no more, in the table:
 *   LEG_OPENS    it answers what opens one: for the proxy; if it accepts, the leg is judged and remembered;
 *   LEG_REFUSED  the policy denies that leg, or one that is open was forgotten (decision->reason): both ends are reset;
 *   NO_LEG       else. */
static __always_inline enum leg hear_leg(struct __sk_buff *skb, const struct packet *packet,
					 const struct standing *standing, struct decision *decision)
{
	enum leg leg;

	if (!may_be_for_leg(packet, standing->flow))
		return NO_LEG;
	leg = leg_of(skb, packet);
	if (leg == LEG_IS_OPEN) {
		decision->reason = WEIR_PROXY_LEG_UNKNOWN;
		return standing->flow ? NO_LEG : LEG_REFUSED;
	}
	if (leg == LEG_OPENS && (packet->part & (PART_ANSWERS | PART_ABORTS)) == PART_ANSWERS) {
		decision->reason = adopt_leg(packet, standing, decision);
		return decision->reason ? LEG_REFUSED : LEG_OPENS;
	}
	return leg;
}

/* Whether an ICMP error quotes what opens a leg: nothing is remembered of that yet. */
static __noinline int quotes_opening(struct __sk_buff *skb, const struct packet *packet)
{
	struct packet answer = *packet;

	reverse(&answer);
	return packet->protocol == IPPROTO_TCP && leg_of(skb, &answer) == LEG_OPENS;
}
