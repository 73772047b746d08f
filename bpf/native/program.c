/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: facts, test runs, and the places they attach to. */
#include "addon.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>

#define MAX_MAPS 64

/* programInfo(program) */
FUNCTION(program_info)
{
	uint32_t maps[MAX_MAPS], length = sizeof(struct bpf_prog_info);
	struct bpf_prog_info facts = { .nr_map_ids = MAX_MAPS, .map_ids = (uintptr_t)maps };
	napi_value result, map_ids;
	struct arguments arguments;
	struct handle *program;
	char tag[17];

	if (!get_arguments(env, info, 1, &arguments) || !(program = get_handle(env, arguments.values[0], HANDLE_FD)))
		return NULL;
	log_begin();
	if (bpf_obj_get_info_by_fd(program->fd, &facts, &length))
		return throw_errno(env, errno, "read facts of a program");
	for (int i = 0; i < 8; i++)
		snprintf(tag + 2 * i, 3, "%02x", facts.tag[i]);
	napi_create_array(env, &map_ids);
	for (uint32_t i = 0; i < facts.nr_map_ids && i < MAX_MAPS; i++)
		napi_set_element(env, map_ids, i, new_u32(env, maps[i]));
	napi_create_object(env, &result);
	set_property(env, result, "id", new_u32(env, facts.id));
	set_property(env, result, "name", new_text(env, facts.name));
	set_property(env, result, "tag", new_text(env, tag));
	set_property(env, result, "mapIds", map_ids);
	return result;
}

/* openProgramById(id) */
FUNCTION(open_program_by_id)
{
	struct arguments arguments;
	uint32_t id;
	int fd;

	if (!get_arguments(env, info, 1, &arguments) || !get_u32(env, arguments.values[0], &id))
		return NULL;
	log_begin();
	fd = bpf_prog_get_fd_by_id(id);
	return fd < 0 ? throw_errno(env, fd, "open program %u", id) : new_fd(env, fd);
}

/* runProgram(program, packet, context): BPF_PROG_RUN; gives what the program returned */
FUNCTION(run_program)
{
	struct arguments arguments;
	struct bytes packet, context;
	struct handle *program;

	if (!get_arguments(env, info, 3, &arguments) || !(program = get_handle(env, arguments.values[0], HANDLE_FD)) ||
	    !get_bytes(env, arguments.values[1], 14, &packet) || !get_bytes(env, arguments.values[2], 0, &context))
		return NULL;
	log_begin();

	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data, .data_size_in = packet.length,
		    .ctx_in = context.length ? context.data : NULL, .ctx_size_in = context.length, .repeat = 1);

	if (bpf_prog_test_run_opts(program->fd, &options))
		return throw_errno(env, errno, "run a program on a packet of %zu bytes", packet.length);
	return new_u32(env, options.retval);
}

struct place {
	uint32_t ifindex, hook, handle, priority;
};

static bool get_place(napi_env env, struct arguments *arguments, struct place *place)
{
	return get_u32(env, arguments->values[0], &place->ifindex) && get_u32(env, arguments->values[1], &place->hook) &&
	       get_u32(env, arguments->values[2], &place->handle) && get_u32(env, arguments->values[3], &place->priority);
}

static const char *hook_name(const struct place *place)
{
	return place->hook == BPF_TC_INGRESS ? "ingress" : "egress";
}

/* attachTc(ifindex, hook, handle, priority, program): replaces what stands at that handle and priority in one step */
FUNCTION(attach_tc)
{
	struct arguments arguments;
	struct handle *program;
	struct place place;
	int error;

	if (!get_arguments(env, info, 5, &arguments) || !get_place(env, &arguments, &place) ||
	    !(program = get_handle(env, arguments.values[4], HANDLE_FD)))
		return NULL;
	log_begin();

	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = place.handle, .priority = place.priority,
		    .prog_fd = program->fd, .flags = BPF_TC_F_REPLACE);

	error = bpf_tc_hook_create(&hook);
	if (error && error != -EEXIST)
		return throw_errno(env, error, "add clsact to interface %u", place.ifindex);
	log_begin();
	hook.attach_point = place.hook;
	error = bpf_tc_attach(&hook, &options);
	return error ? throw_errno(env, error, "attach to %s of interface %u", hook_name(&place), place.ifindex)
		     : undefined(env);
}

static bool is_absent(int error)
{
	return error == -ENOENT || error == -EINVAL || error == -ENODEV;
}

/* detachTc(ifindex, hook, handle, priority): false when nothing stood there */
FUNCTION(detach_tc)
{
	struct arguments arguments;
	struct place place;
	int error;

	if (!get_arguments(env, info, 4, &arguments) || !get_place(env, &arguments, &place))
		return NULL;
	log_begin();

	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex, .attach_point = place.hook);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = place.handle, .priority = place.priority);

	error = bpf_tc_detach(&hook, &options);
	if (error && !is_absent(error))
		return throw_errno(env, error, "detach from %s of interface %u", hook_name(&place), place.ifindex);
	return new_bool(env, !error);
}

/* queryTc(ifindex, hook, handle, priority): the program's id, 0 when nothing stands there */
FUNCTION(query_tc)
{
	struct arguments arguments;
	struct place place;
	int error;

	if (!get_arguments(env, info, 4, &arguments) || !get_place(env, &arguments, &place))
		return NULL;
	log_begin();

	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex, .attach_point = place.hook);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = place.handle, .priority = place.priority);

	error = bpf_tc_query(&hook, &options);
	if (error && !is_absent(error))
		return throw_errno(env, error, "ask for %s of interface %u", hook_name(&place), place.ifindex);
	return new_u32(env, error ? 0 : options.prog_id);
}

/* interfaces(): numbers of all interfaces of this network namespace */
FUNCTION(interfaces)
{
	struct if_nameindex *list = if_nameindex();
	napi_value numbers;

	(void)info;
	if (!list)
		return throw_errno(env, errno, "list interfaces");
	napi_create_array(env, &numbers);
	for (uint32_t i = 0; list[i].if_index; i++)
		napi_set_element(env, numbers, i, new_u32(env, list[i].if_index));
	if_freenameindex(list);
	return numbers;
}

/* attachCgroup(program, cgroup path, enum bpf_attach_type): a link, detached when its last handle and pin go */
FUNCTION(attach_cgroup)
{
	struct arguments arguments;
	struct handle *program;
	uint32_t attach_type;
	int cgroup, link;
	char path[4096];

	if (!get_arguments(env, info, 3, &arguments) || !(program = get_handle(env, arguments.values[0], HANDLE_FD)) ||
	    !get_text(env, arguments.values[1], path, sizeof(path)) ||
	    !get_u32(env, arguments.values[2], &attach_type))
		return NULL;
	log_begin();
	cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return throw_errno(env, errno, "open cgroup %s", path);
	link = bpf_link_create(program->fd, cgroup, attach_type, NULL);
	close(cgroup);
	return link < 0 ? throw_errno(env, link, "attach to cgroup %s", path) : new_fd(env, link);
}
