/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine can do, and the one thing done to sockets from outside. */
#include "addon.h"
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

static napi_value answer(napi_env env, int result, const char *what, uint32_t number)
{
	return result < 0 ? throw_errno(env, result, "probe %s %u", what, number) : new_bool(env, result);
}

/* probeMapType(enum bpf_map_type) */
FUNCTION(probe_map_type)
{
	uint32_t type;

	if (!read_arguments(env, info, "u", &type))
		return NULL;
	log_begin();
	return answer(env, libbpf_probe_bpf_map_type(type, NULL), "map type", type);
}

/* probeProgramType(enum bpf_prog_type) */
FUNCTION(probe_program_type)
{
	uint32_t type;

	if (!read_arguments(env, info, "u", &type))
		return NULL;
	log_begin();
	return answer(env, libbpf_probe_bpf_prog_type(type, NULL), "program type", type);
}

/* probeHelper(enum bpf_prog_type, enum bpf_func_id) */
FUNCTION(probe_helper)
{
	uint32_t type, helper;

	if (!read_arguments(env, info, "uu", &type, &helper))
		return NULL;
	log_begin();
	return answer(env, libbpf_probe_bpf_helper(type, helper, NULL), "helper", helper);
}

static bool is_mapped(const uint8_t *address)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(address, prefix, sizeof(prefix));
}

/* destroySocket(local address, local port, remote address, remote port): false when there is no such TCP socket */
FUNCTION(destroy_socket)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} message = {
		.header = { .nlmsg_len = sizeof(message),
			    .nlmsg_type = SOCK_DESTROY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.request = { .sdiag_protocol = IPPROTO_TCP,
			     .idiag_states = ~0u,
			     .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};
	char reply[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *header = (void *)reply;
	struct arguments arguments;
	struct bytes local, remote;
	uint32_t local_port, remote_port;
	bool v4;
	int fd, error;

	if (!get_arguments(env, info, 4, &arguments) || !get_bytes(env, arguments.values[0], 16, &local) ||
	    !get_u32(env, arguments.values[1], &local_port) || !get_bytes(env, arguments.values[2], 16, &remote) ||
	    !get_u32(env, arguments.values[3], &remote_port))
		return NULL;
	v4 = is_mapped(local.data);
	message.request.sdiag_family = v4 ? AF_INET : AF_INET6;
	message.request.id.idiag_sport = htons(local_port);
	message.request.id.idiag_dport = htons(remote_port);
	memcpy(message.request.id.idiag_src, (char *)local.data + (v4 ? 12 : 0), v4 ? 4 : 16);
	memcpy(message.request.id.idiag_dst, (char *)remote.data + (v4 ? 12 : 0), v4 ? 4 : 16);
	log_begin();
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return throw_errno(env, errno, "open sock_diag");
	error = send(fd, &message, sizeof(message), 0) < 0 || recv(fd, reply, sizeof(reply), 0) < 0 ? errno : 0;
	close(fd);
	if (!error && header->nlmsg_type == NLMSG_ERROR)
		error = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
	if (error && error != ENOENT)
		return throw_errno(env, error, "destroy a socket");
	return new_bool(env, !error);
}
