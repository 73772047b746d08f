/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The few fields of the kernel's own structures that acceleration looks at. The loader finds their places in the BTF
 * of the kernel that runs; a field that is missing there makes loading fail, and acceleration stays off. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	long long counter;
} atomic64_t;

/* A word: only structures can be read at any address. */
struct hlist_head {
	void *first;
};

struct sk_psock {
	/* Bytes that wait to be read. It came (7.0, and 6.18 stable) with the fix that counts them for FIONREAD. */
	__u32 msg_tot_len;
};

struct file {
	unsigned int f_flags;
};

struct socket {
	struct file *file;
};

struct proto {
	unsigned long *memory_pressure;
};

struct sock_common {
	struct proto *skc_prot;
	unsigned long skc_flags;
	atomic64_t skc_cookie;
};

struct sock {
	struct sock_common __sk_common;
	int sk_rcvbuf;
	int sk_rcvlowat;
	/* Asked for timestamps (SO_TIMESTAMPING). */
	__u32 sk_tsflags;
	struct socket *sk_socket;
	void *sk_user_data;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	const void *icsk_ulp_ops;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 copied_seq;
	__u32 write_seq;
};

struct pt_regs {
	unsigned long orig_ax, dx, r10;
};

enum sock_flags { SOCK_ZEROCOPY };

#pragma clang attribute pop

extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

/* A kernel address as a pointer that may be read, and reads zeros where there is nothing. */
#define KERNEL(TYPE, ADDRESS) ((TYPE *)bpf_rdonly_cast((void *)(ADDRESS), bpf_core_type_id_kernel(TYPE)))

/* Low bits of sk_user_data (include/net/sock.h): this one says that the rest is a psock. */
#define SK_USER_DATA_PSOCK 4UL
#define SK_USER_DATA_BITS 7UL

#define O_NONBLOCK 04000

static __always_inline struct sk_psock *psock_of(const struct sock *sock)
{
	unsigned long data = (unsigned long)sock->sk_user_data;

	return data & SK_USER_DATA_PSOCK ? KERNEL(struct sk_psock, data & ~SK_USER_DATA_BITS) : 0;
}

/* Whether the owner reads without blocking; a socket that nobody has accepted yet has no owner. */
static __always_inline int is_nonblocking(const struct sock *sock)
{
	struct socket *socket = sock->sk_socket;
	struct file *file = socket ? socket->file : 0;

	return file && (file->f_flags & O_NONBLOCK);
}
