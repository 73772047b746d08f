/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Saying no: a packet is rewritten in its own buffer into the reset or the ICMP error that its ends understand. TCP is
 * reset; UDP is told "port unreachable" (RFC 1122 4.1.3.1); all other protocols are met with silence. */
#pragma once
#include "report.h"

/* Errors of ICMP that one CPU sends in a second; no host wants more (RFC 1812 4.3.2.8, RFC 4443 2.4). */
#define UNREACHABLES_PER_SECOND_AND_CPU 1000

/* A segment without payload and options. */
struct segment {
	struct weir_address source;
	struct weir_address destination;
	__be16 source_port;
	__be16 destination_port;
	__be32 seq;
	__be32 ack;
};

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The pseudo header's part of a checksum; an IPv4 address and its mapped form differ by ffff, which adds nothing. */
static __always_inline __u64 pseudo_sum(const struct weir_address *source, const struct weir_address *destination,
					__u32 bytes, __u32 protocol)
{
	__u64 sum = bpf_htons(bytes) + bpf_htons(protocol);

	for (int i = 0; i < 4; i++)
		sum += (__u64)source->words[i] + destination->words[i];
	return sum;
}

/* Whether the stack leaves the checksum at `offset` to whoever sends the packet (CHECKSUM_PARTIAL). A change that is not
 * of the pseudo header is then none of bpf_l4_csum_replace's business, and that is how it shows. */
static __noinline int is_checksum_partial(struct __sk_buff *skb, __u32 offset)
{
	__u16 before, after;

	if (bpf_skb_load_bytes(skb, offset, &before, 2) || bpf_l4_csum_replace(skb, offset, 0, bpf_htons(1), 2) ||
	    bpf_skb_load_bytes(skb, offset, &after, 2))
		return -1;
	if (before == after)
		return 1;
	return bpf_l4_csum_replace(skb, offset, bpf_htons(1), 0, 2) ? -1 : 0;
}

/* The IPv4 header, without options, of `bytes` that follow it. */
static __always_inline struct iphdr ipv4_header(const struct weir_address *source,
						const struct weir_address *destination, __u32 bytes, __u8 protocol)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tot_len = bpf_htons(sizeof(ip) + bytes),
		.frag_off = bpf_htons(0x4000),
		.ttl = 64,
		.protocol = protocol,
		.saddr = source->words[3],
		.daddr = destination->words[3],
	};

	ip.check = ~fold(bpf_csum_diff(0, 0, (void *)&ip, sizeof(ip), 0));
	return ip;
}

static __always_inline struct ipv6hdr ipv6_header(const struct weir_address *source,
						  const struct weir_address *destination, __u32 bytes, __u8 protocol)
{
	struct ipv6hdr ip = {
		.version = 6,
		.payload_len = bpf_htons(bytes),
		.nexthdr = protocol,
		.hop_limit = 64,
	};

	for (int i = 0; i < 4; i++) {
		ip.saddr.in6_u.u6_addr32[i] = source->words[i];
		ip.daddr.in6_u.u6_addr32[i] = destination->words[i];
	}
	return ip;
}

/* Writes the IP header of what follows at `offset` bytes before it. Gives 0, or 1 when that failed. */
static __noinline int write_ip(struct __sk_buff *skb, const struct weir_address *source,
			       const struct weir_address *destination, __u32 bytes, __u32 protocol)
{
	if (is_ipv4(source)) {
		struct iphdr ip = ipv4_header(source, destination, bytes, protocol);

		return bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM) != 0;
	}
	struct ipv6hdr ip = ipv6_header(source, destination, bytes, protocol);

	return bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM) != 0;
}

static __always_inline __u32 ip_bytes(const struct weir_address *address)
{
	return is_ipv4(address) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/* Writes `segment`, a reset, over the packet, which has its length already. Gives 0, or 1 when that failed. */
static __noinline int write_reset(struct __sk_buff *skb, const struct segment *segment, int partial)
{
	__u32 offset = ETH_HLEN + ip_bytes(&segment->source);
	struct tcphdr tcp = {
		.source = segment->source_port,
		.dest = segment->destination_port,
		.seq = segment->seq,
		.ack_seq = segment->ack,
		.doff = sizeof(tcp) / 4,
		.rst = 1,
		.ack = 1,
	};
	__u64 sum = pseudo_sum(&segment->source, &segment->destination, sizeof(tcp), IPPROTO_TCP);

	tcp.check = partial ? fold(sum) : ~fold(sum + (__u32)bpf_csum_diff(0, 0, (void *)&tcp, sizeof(tcp), 0));
	return write_ip(skb, &segment->source, &segment->destination, sizeof(tcp), IPPROTO_TCP) ||
	       bpf_skb_store_bytes(skb, offset, &tcp, sizeof(tcp), BPF_F_RECOMPUTE_CSUM);
}

static __noinline int swap_ethernet(struct __sk_buff *skb)
{
	__u8 from[2 * ETH_ALEN], to[2 * ETH_ALEN];

	if (bpf_skb_load_bytes(skb, 0, from, sizeof(from)))
		return 1;
	for (int i = 0; i < ETH_ALEN; i++) {
		to[i] = from[i + ETH_ALEN];
		to[i + ETH_ALEN] = from[i];
	}
	return bpf_skb_store_bytes(skb, 0, to, sizeof(to), BPF_F_RECOMPUTE_CSUM) != 0;
}

/* Sends what the packet has become to where it came from. The mark lets it pass our own hooks. */
static __always_inline long send_back(struct __sk_buff *skb, __u32 hook)
{
	set_mark(skb, mark_reinject);
	return dry_run ? -1 : bpf_clone_redirect(skb, skb->ifindex, hook == WEIR_TO_WORKLOAD ? BPF_F_INGRESS : 0);
}

/* What is written must fit the buffer's own idea of where the checksum starts, and have its plain Ethernet header. */
static __always_inline int is_plain(const struct packet *packet, int partial)
{
	return packet->l3_offset == ETH_HLEN && !packet->quoted && partial >= 0 &&
	       (!partial || packet->l4_offset == ETH_HLEN + ip_bytes(&packet->source));
}

enum reset_ends { RESET_SENDER = 1, RESET_BOTH = 2 };

/* Turns a TCP segment into a reset of its receiver, and sends its sender one as well when `ends` asks for it. Gives 0
 * when the packet is now that reset, and may go where its receiver is if that was asked for; 1 when there is nothing to
 * send, and it must be dropped. A reset is not answered but goes on, bare of whatever it carried. */
static __noinline int reset(struct __sk_buff *skb, const struct packet *packet, __u32 hook, __u32 ends)
{
	struct segment segment = {};
	__be32 seq, ack, numbers[2];
	int partial;

	if (packet->protocol != IPPROTO_TCP)
		return 1;
	partial = is_checksum_partial(skb, packet->l4_offset + 16);
	if (!is_plain(packet, partial) || bpf_skb_load_bytes(skb, packet->l4_offset + 4, numbers, sizeof(numbers)))
		return 1;
	seq = numbers[0];
	ack = numbers[1];
	if (!(packet->tcp_flags & (TCP_RST | TCP_ACK | TCP_SYN)) ||
	    bpf_skb_change_tail(skb, ETH_HLEN + ip_bytes(&packet->source) + sizeof(struct tcphdr), 0))
		return 1;
	if (!(packet->tcp_flags & TCP_RST)) {
		segment.source = packet->destination;
		segment.destination = packet->source;
		segment.source_port = packet->destination_port;
		segment.destination_port = packet->source_port;
		/* RFC 9293 3.10.7.1 */
		segment.seq = packet->tcp_flags & TCP_ACK ? ack : 0;
		segment.ack = packet->tcp_flags & TCP_SYN ? bpf_htonl(bpf_ntohl(seq) + 1) : seq;
		if (swap_ethernet(skb) || write_reset(skb, &segment, partial))
			return 1;
		if (!send_back(skb, hook))
			count(WEIR_RESET_SENT);
		if (ends != RESET_BOTH || swap_ethernet(skb))
			return 1;
	}
	segment.source = packet->source;
	segment.destination = packet->destination;
	segment.source_port = packet->source_port;
	segment.destination_port = packet->destination_port;
	segment.seq = seq;
	segment.ack = ack;
	if (write_reset(skb, &segment, partial))
		return 1;
	count(WEIR_RESET_SENT);
	return 0;
}

/* Writes an ICMP error about the packet, with its IP header, bare of options, and 8 bytes of what follows. */
static __noinline int write_unreachable(struct __sk_buff *skb, const struct packet *packet)
{
	int v4 = is_ipv4(&packet->source);
	__u32 bytes = ip_bytes(&packet->source), offset = ETH_HLEN + bytes;
	struct {
		struct icmp icmp;
		union {
			struct {
				struct iphdr ip;
				__be16 udp[4];
			} v4;
			struct {
				struct ipv6hdr ip;
				__be16 udp[4];
			} v6;
		};
	} error = {};
	__u32 length = sizeof(struct icmp) + bytes + 8;
	__u64 sum = 0;
	long failed;

	if (v4) {
		error.icmp.type = ICMP_DEST_UNREACH;
		error.icmp.code = 3;
		error.v4.ip = ipv4_header(&packet->source, &packet->destination, 8, packet->protocol);
		error.v4.udp[0] = packet->source_port;
		error.v4.udp[1] = packet->destination_port;
		error.v4.udp[2] = bpf_htons(8);
		sum = bpf_csum_diff(0, 0, (void *)&error, sizeof(struct icmp) + sizeof(error.v4), 0);
	} else {
		error.icmp.type = ICMPV6_DEST_UNREACH;
		error.icmp.code = 4;
		error.v6.ip = ipv6_header(&packet->source, &packet->destination, 8, packet->protocol);
		error.v6.udp[0] = packet->source_port;
		error.v6.udp[1] = packet->destination_port;
		error.v6.udp[2] = bpf_htons(8);
		sum = (__u32)bpf_csum_diff(0, 0, (void *)&error, sizeof(struct icmp) + sizeof(error.v6), 0) +
		      pseudo_sum(&packet->source, &packet->destination, length, IPPROTO_ICMPV6);
	}
	error.icmp.checksum = ~fold(sum);
	if (bpf_skb_change_tail(skb, offset + length, 0) || swap_ethernet(skb) ||
	    write_ip(skb, &packet->destination, &packet->source, length, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return 1;
	failed = v4 ? bpf_skb_store_bytes(skb, offset, &error, sizeof(struct icmp) + sizeof(error.v4), BPF_F_RECOMPUTE_CSUM)
		    : bpf_skb_store_bytes(skb, offset, &error, sizeof(struct icmp) + sizeof(error.v6),
					  BPF_F_RECOMPUTE_CSUM);
	return failed != 0;
}

/* Tells the sender of a datagram that nobody takes it. The packet is spent. */
static __noinline void unreachable(struct __sk_buff *skb, const struct packet *packet, __u32 hook)
{
	struct report_budget *budget;
	__u32 zero = 0;

	if (packet->protocol != IPPROTO_UDP || packet->l3_offset != ETH_HLEN || packet->quoted)
		return;
	budget = bpf_map_lookup_elem(&unreachable_budgets, &zero);
	if (!budget || !within(budget, bpf_ktime_get_coarse_ns(), UNREACHABLES_PER_SECOND_AND_CPU))
		return;
	if (!write_unreachable(skb, packet) && !send_back(skb, hook))
		count(WEIR_UNREACHABLE_SENT);
}

/* Ends a living connection, out of one of its packets. Gives 0 when the packet is now a reset of its receiver, 1 when it
 * must be dropped. */
static __always_inline int end_both(struct __sk_buff *skb, const struct packet *packet, __u32 hook)
{
	unreachable(skb, packet, hook);
	return reset(skb, packet, hook, RESET_BOTH);
}

/* What a new connection that is refused hears, where the workload whose policy refuses it answers: else it waits in
 * vain. */
static __always_inline void refuse(struct __sk_buff *skb, const struct packet *packet, const struct decision *decision,
				   __u32 hook)
{
	struct weir_local_address *refuser =
		bpf_map_lookup_elem(&local_addresses, decision->direction == WEIR_EGRESS ? &packet->source
											  : &packet->destination);

	if (!refuser || !(refuser->flags & WEIR_ANSWERS_REFUSED))
		return;
	unreachable(skb, packet, hook);
	reset(skb, packet, hook, RESET_SENDER);
}

/* A packet that one of the above has sent. */
static __always_inline int is_refusal(struct __sk_buff *skb, const struct packet *packet)
{
	return has_mark(skb, mark_reinject) && ((packet->tcp_flags & TCP_RST) || packet->quoted);
}
