/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A connection past the proxy that gets the addresses and ports of a leg: whoever chose its source port knows nothing of
 * the proxy's. */
#pragma once
#include "flow.h"
#include "proxy-socket.h"
#include "reset.h"

/* Fills in the numbers of a reset that the proxy takes from this server. Gives 1 when it has such a leg. */
static __noinline int find_leg(struct __sk_buff *skb, struct segment *reset)
{
	struct bpf_sock_tuple tuple = {};
	__u32 bytes = fill_tuple(&tuple, &reset->source, reset->source_port, &reset->destination, reset->destination_port);
	struct bpf_sock *socket = find_socket(skb, &tuple, bytes), *own;
	struct bpf_tcp_sock *leg;

	if (!socket)
		return 0;
	own = as_proxys(socket);
	leg = own ? bpf_tcp_sock(own) : 0;
	if (leg) {
		reset->seq = bpf_htonl(leg->rcv_nxt);
		reset->ack = bpf_htonl(leg->snd_nxt);
	}
	bpf_sk_release(socket);
	return leg != 0;
}

/* Turns a SYN that was let past the proxy into the resets of the leg whose place it takes: one for the proxy, and itself
 * the one for the server. The SYN comes again, and meets nobody; else the leg would wait for what goes to the workload now.
 * Gives 1 when the packet is that reset, which may go on. */
static __noinline int ends_leg(struct __sk_buff *skb, const struct packet *packet, const struct weir_flow *living)
{
	struct segment segment = {};
	int partial;
	__be32 seq;

	if (!living || !(living->flags & WEIR_LEG) || is_finished(living) || packet->protocol != IPPROTO_TCP)
		return 0;
	segment.source = packet->destination;
	segment.destination = packet->source;
	segment.source_port = packet->destination_port;
	segment.destination_port = packet->source_port;
	if (!find_leg(skb, &segment))
		return 0;
	partial = is_checksum_partial(skb, packet->l4_offset + 16);
	if (!is_plain(packet, partial) ||
	    bpf_skb_change_tail(skb, ETH_HLEN + ip_bytes(&packet->source) + sizeof(struct tcphdr), 0) ||
	    write_reset(skb, &segment, partial))
		return 0;
	set_mark(skb, mark_deliver);
	if (!dry_run && !bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS))
		count(WEIR_RESET_SENT);
	seq = segment.ack;
	segment.ack = segment.seq;
	segment.seq = seq;
	segment.source = packet->source;
	segment.destination = packet->destination;
	segment.source_port = packet->source_port;
	segment.destination_port = packet->destination_port;
	if (!write_reset(skb, &segment, partial))
		count(WEIR_RESET_SENT);
	set_mark(skb, mark_reinject);
	return 1;
}
