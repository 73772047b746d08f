/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes that come by TCP behind accelerated ones wait until these are read. A reader that takes a short read for the
 * end of what is there (epoll(7), edge-triggered) is woken by the arrival of TCP bytes; had they come before, nothing
 * would wake it. The proxy reads until there is nothing, so that only a workload's end needs it. The sender's TCP
 * repeats what is dropped here. */
#pragma once
#include "kernel.h"
#include "packet.h"

/* Acceleration is on, and the kernel has what KERNEL() asks for. */
const volatile __u32 accelerates = 0;

/* A socket by its cookie, which is never used again, and by its address, which may be once it is closed. */
struct end {
	__u64 cookie;
	__u64 sock;
};

/* The workload's end of connections whose bytes on TCP must wait. */
WEIR_MAP(held_ends, BPF_MAP_TYPE_HASH, struct weir_flow_key, struct end, 65536, BPF_F_NO_PREALLOC);
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

static __always_inline int is_held(struct __sk_buff *skb, const struct packet *packet, const struct weir_flow_key *key)
{
	struct end *held;
	struct sock *sock;
	__u8 words;

	if (!accelerates)
		return 0;
	held = bpf_map_lookup_elem(&held_ends, key);
	if (!held)
		return 0;
	if (bpf_skb_load_bytes(skb, packet->l4_offset + 12, &words, 1) ||
	    skb->len <= packet->l4_offset + (words >> 4) * 4u)
		return 0;
	sock = sock_of(held);
	if (sock && unread(sock)) {
		count_acceleration(WEIR_ACCELERATION_HELD);
		return 1;
	}
	bpf_map_delete_elem(&held_ends, key);
	return 0;
}
