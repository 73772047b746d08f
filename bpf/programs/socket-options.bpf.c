// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* On the root of cgroup v2: options that a socket of the sockhash cannot have are refused with EPERM, and programs
 * that ask for them go on without, as on a kernel that lacks them. */
#include "../lib/acceleration.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define SOL_SOCKET 1
#define SO_ZEROCOPY 60
#define SOL_TCP 6
#define TCP_ULP 31
#define PAGE_SIZE 4096

SEC("cgroup/setsockopt")
int refuse_options(struct bpf_sockopt *call)
{
	struct accelerated *accelerated;

	/* Longer values are not shown to programs whole: 0 lets the kernel use its caller's. */
	if (call->optlen > PAGE_SIZE)
		call->optlen = 0;
	if (!(call->level == SOL_SOCKET && call->optname == SO_ZEROCOPY) &&
	    !(call->level == SOL_TCP && call->optname == TCP_ULP))
		return 1;
	accelerated = call->sk ? bpf_sk_storage_get(&accelerated_ends, call->sk, 0, 0) : 0;
	if (!accelerated || !psock_of(KERNEL(struct sock, accelerated->own.sock)))
		return 1;
	count_acceleration(WEIR_ACCELERATION_OPTION_REFUSED);
	return 0;
}
