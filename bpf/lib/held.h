/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What acceleration does to segments from the proxy to a workload, and what it learns from them.
 *
 * Bytes that come by TCP although the workload's socket is in the sockhash wait until the accelerated bytes before them
 * are read: a reader that takes a short read for the end of what is there (epoll(7), edge-triggered) is woken by their
 * arrival, and by nothing had they come before. (The proxy reads until there is nothing.) The sender's TCP repeats what
 * is dropped. Then the socket leaves the sockhash for good and reads as if it had never been there, which matters:
 * kernels that count only accelerated bytes for FIONREAD (6.18.14 and others) would say 0. */
#pragma once
#include "flow.h"
#include "kernel.h"

/* Acceleration is on, and the kernel has what KERNEL() asks for. */
const volatile __u32 accelerates = 0;

/* A socket by its cookie, which is never used again, and by its address, which may be once it is closed. */
struct end {
	__u64 cookie;
	__u64 sock;
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 131072);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, __u64);
} accelerated_sockets SEC(".maps");
/* The workload's socket of each proxied connection that is accelerated, or watched for how it is read. */
WEIR_MAP(workload_ends, BPF_MAP_TYPE_HASH, struct weir_flow_key, struct end, 65536, BPF_F_NO_PREALLOC);
WEIR_MAP(acceleration_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, WEIR_ACCELERATION_COUNTS, 0);

static __always_inline void count_acceleration(__u32 what)
{
	__u64 *counter = bpf_map_lookup_elem(&acceleration_counters, &what);

	if (counter)
		*counter += 1;
}

/* The socket of an end, or 0 when it is closed by now. */
static __always_inline struct sock *sock_of(const struct end *end)
{
	struct sock *sock = KERNEL(struct sock, end->sock);

	return end->sock && (__u64)sock->__sk_common.skc_cookie.counter == end->cookie ? sock : 0;
}

/* Accelerated bytes that the socket's owner has not read. */
static __always_inline __u32 unread(const struct sock *sock)
{
	struct sk_psock *psock = psock_of(sock);

	return psock ? psock->msg_tot_len : 0;
}

/* Whether the sockets that a workload accepts at an address and port are read without blocking, as far as seen. */
struct reader_key {
	struct weir_address address;
	__u32 port;
};
WEIR_MAP(readers, BPF_MAP_TYPE_LRU_HASH, struct reader_key, __u32, 4096, 0);

/* Remembers how a workload reads what it accepts where this packet goes. */
static __always_inline void learn_reader(const struct packet *packet, __u32 nonblocking)
{
	struct reader_key reader = { .address = packet->destination, .port = bpf_ntohs(packet->destination_port) };
	__u32 *known = bpf_map_lookup_elem(&readers, &reader);

	if (!known || *known != nonblocking)
		bpf_map_update_elem(&readers, &reader, &nonblocking, BPF_ANY);
}

static __always_inline int has_payload(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 words;

	return !bpf_skb_load_bytes(skb, packet->l4_offset + 12, &words, 1) &&
	       skb->len > packet->l4_offset + (words >> 4) * 4u;
}

/* The place of one end of a connection in workload_ends. Both have one: a client and a leg of the proxy may have the
 * same addresses and ports. */
static __always_inline struct weir_flow_key place_of(const struct weir_flow_key *flow, int is_low)
{
	struct weir_flow_key place = *flow;

	place.reserved[0] = is_low;
	return place;
}

/* A segment from the proxy for a workload; 1 when it must wait. In this order:
 *   1. a socket that is closed is forgotten;
 *   2. one that is not in the sockhash was watched for how it is read, which says how the next one will be; until it
 *      is read without blocking, which some programs ask for only after they have accepted it;
 *   3. bytes wait for accelerated ones before them;
 *   4. with the first bytes by TCP a socket leaves the sockhash. None are on their way to it around TCP then: the
 *      proxy sends by TCP until these have been read. */
static __noinline int is_held(struct __sk_buff *skb, const struct packet *packet, const struct standing *standing)
{
	struct weir_flow_key place;
	struct end *found, end;
	struct sock *sock;

	if (!accelerates)
		return 0;
	place = place_of(&standing->key, !standing->sender_is_low);
	found = bpf_map_lookup_elem(&workload_ends, &place);
	if (!found)
		return 0;
	end = *found;
	sock = sock_of(&end);
	if (sock && !psock_of(sock)) {
		if (!sock->sk_socket)
			return 0;
		learn_reader(packet, is_nonblocking(sock));
		if (!is_nonblocking(sock))
			return 0;
	} else if (sock) {
		if (!has_payload(skb, packet))
			return 0;
		if (unread(sock)) {
			count_acceleration(WEIR_ACCELERATION_HELD);
			return 1;
		}
		if (!bpf_map_delete_elem(&accelerated_sockets, &end.cookie))
			count_acceleration(WEIR_ACCELERATION_LEFT);
	}
	bpf_map_delete_elem(&workload_ends, &place);
	return 0;
}
