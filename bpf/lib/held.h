/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes for a workload that come by TCP although its socket is in the sockhash. They wait until the accelerated bytes
 * before them are read: a reader that takes a short read for the end of what is there (epoll(7), edge-triggered) is
 * woken by their arrival, and by nothing had they come before. (The proxy reads until there is nothing.) The sender's
 * TCP repeats what is dropped. Then the socket leaves the sockhash for good and reads as if it had never been there,
 * which matters: 6.18 counts only accelerated bytes for FIONREAD. */
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

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 131072);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, __u64);
} accelerated_sockets SEC(".maps");
/* The workload's socket of each accelerated connection. */
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

/* What to do with a segment from the proxy: 1 when it must wait. */
static __always_inline int is_held(struct __sk_buff *skb, const struct packet *packet, const struct weir_flow_key *key)
{
	struct end *end, leaving;
	struct sock *sock;
	__u8 words;

	if (!accelerates)
		return 0;
	end = bpf_map_lookup_elem(&workload_ends, key);
	if (!end)
		return 0;
	if (bpf_skb_load_bytes(skb, packet->l4_offset + 12, &words, 1) ||
	    skb->len <= packet->l4_offset + (words >> 4) * 4u)
		return 0;
	leaving = *end;
	sock = sock_of(&leaving);
	if (sock && unread(sock)) {
		count_acceleration(WEIR_ACCELERATION_HELD);
		return 1;
	}
	bpf_map_delete_elem(&workload_ends, key);
	if (!bpf_map_delete_elem(&accelerated_sockets, &leaving.cookie))
		count_acceleration(WEIR_ACCELERATION_LEFT);
	return 0;
}
