/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ending a TCP connection at both ends, out of one of its segments. */
#pragma once
#include "report.h"

/* What the stack sees of a reset: headers without options. Packed, because IP begins at byte 14. */
struct reset_segment {
	__u8 to[ETH_ALEN];
	__u8 from[ETH_ALEN];
	__be16 type;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Writes `segment` over the packet, checksums included. */
static __noinline int write_reset(struct __sk_buff *skb, struct reset_segment *segment, __be32 seq, __be32 ack)
{
	struct tcphdr tcp = {
		.source = segment->tcp.source,
		.dest = segment->tcp.dest,
		.seq = seq,
		.ack_seq = ack,
		.doff = sizeof(tcp) / 4,
		.rst = 1,
		.ack = 1,
	};
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tot_len = bpf_htons(sizeof(ip) + sizeof(tcp)),
		.frag_off = bpf_htons(0x4000),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = segment->ip.saddr,
		.daddr = segment->ip.daddr,
	};
	__u64 sum = (__u64)ip.saddr + ip.daddr + bpf_htons(sizeof(tcp)) + bpf_htons(IPPROTO_TCP);

	ip.check = ~fold(bpf_csum_diff(0, 0, (void *)&ip, sizeof(ip), 0));
	tcp.check = ~fold(sum + (__u32)bpf_csum_diff(0, 0, (void *)&tcp, sizeof(tcp), 0));
	segment->ip = ip;
	segment->tcp = tcp;
	return bpf_skb_store_bytes(skb, 0, segment, sizeof(*segment), BPF_F_RECOMPUTE_CSUM);
}

/* Turns the packet into a reset of its receiver and sends its sender one as well. Gives 0 when the packet is now
 * that reset and may go where its receiver is; 1 when there is nothing to send, and it must be dropped: a reset is
 * not answered, and headers with options are left to the ends' own timeouts. */
static __noinline int reset_both(struct __sk_buff *skb, const struct packet *packet, __u32 hook)
{
	struct reset_segment segment;
	__be32 seq, ack;
	__u8 mac;

	if (packet->protocol != IPPROTO_TCP || packet->quoted || (packet->tcp_flags & (TCP_RST | TCP_ACK)) != TCP_ACK ||
	    packet->l4_offset != ETH_HLEN + sizeof(struct iphdr))
		return 1;
	if (bpf_skb_load_bytes(skb, 0, &segment, sizeof(segment)) ||
	    bpf_skb_change_tail(skb, sizeof(segment), 0))
		return 1;
	seq = segment.tcp.seq;
	ack = segment.tcp.ack_seq;

	for (int i = 0; i < ETH_ALEN; i++) {
		mac = segment.to[i];
		segment.to[i] = segment.from[i];
		segment.from[i] = mac;
	}
	segment.ip.saddr = packet->destination.words[3];
	segment.ip.daddr = packet->source.words[3];
	segment.tcp.source = packet->destination_port;
	segment.tcp.dest = packet->source_port;
	set_mark(skb, mark_reinject);
	if (write_reset(skb, &segment, ack, seq))
		return 1;
	if (!dry_run && !bpf_clone_redirect(skb, skb->ifindex, hook == WEIR_TO_WORKLOAD ? BPF_F_INGRESS : 0))
		count(WEIR_RESET_SENT);

	for (int i = 0; i < ETH_ALEN; i++) {
		mac = segment.to[i];
		segment.to[i] = segment.from[i];
		segment.from[i] = mac;
	}
	segment.ip.saddr = packet->source.words[3];
	segment.ip.daddr = packet->destination.words[3];
	segment.tcp.source = packet->source_port;
	segment.tcp.dest = packet->destination_port;
	if (write_reset(skb, &segment, seq, ack))
		return 1;
	count(WEIR_RESET_SENT);
	return 0;
}
