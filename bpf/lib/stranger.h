/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Workloads that nobody has announced. */
#pragma once
#include "report.h"

#define IDENTITY_ANY 0
#define IDENTITY_HOST 1
#define IDENTITY_WORLD 2

/* An address where only workloads of this node live, that is no workload's here and not the node's: somebody came whom
 * nobody has announced. */
static __noinline int is_stranger(const struct weir_address *address)
{
	struct weir_prefix prefix = { .prefix_length = 128, .address = *address };
	__u32 *identity;

	if (bpf_map_lookup_elem(&local_addresses, address) || !bpf_map_lookup_elem(&workload_prefixes, &prefix))
		return 0;
	identity = bpf_map_lookup_elem(&ipcache, &prefix);
	return !identity || *identity != IDENTITY_HOST;
}
