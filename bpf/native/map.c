/* SPDX-License-Identifier: Apache-2.0 */
/* Maps. Sizes of keys and values are asked of the kernel, so that no buffer can be too short for it. */
#include "addon.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* What the kernel copies for a value: per-CPU maps have one for every possible CPU, each padded to 8 bytes. */
static size_t value_bytes(const struct bpf_map_info *info)
{
	switch (info->type) {
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		return (size_t)((info->value_size + 7) & ~7u) * libbpf_num_possible_cpus();
	default:
		return info->value_size;
	}
}

static bool get_map(napi_env env, napi_value value, struct handle **map, struct bpf_map_info *info)
{
	uint32_t length = sizeof(*info);

	*map = get_handle(env, value, HANDLE_FD);
	if (!*map)
		return false;
	memset(info, 0, sizeof(*info));
	if (!bpf_obj_get_info_by_fd((*map)->fd, info, &length))
		return true;
	throw_errno(env, errno, "read facts of a map");
	return false;
}

/* openPinned(path): a map, program or link */
FUNCTION(open_pinned)
{
	struct arguments arguments;
	char path[4096];
	int fd;

	if (!get_arguments(env, info, 1, &arguments) || !get_text(env, arguments.values[0], path, sizeof(path)))
		return NULL;
	log_begin();
	fd = bpf_obj_get(path);
	return fd < 0 ? throw_errno(env, fd, "open pinned %s", path) : new_fd(env, fd);
}

/* openMapById(id) */
FUNCTION(open_map_by_id)
{
	struct arguments arguments;
	uint32_t id;
	int fd;

	if (!get_arguments(env, info, 1, &arguments) || !get_u32(env, arguments.values[0], &id))
		return NULL;
	log_begin();
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? throw_errno(env, fd, "open map %u", id) : new_fd(env, fd);
}

/* pin(handle, path): a map, program or link */
FUNCTION(pin)
{
	struct arguments arguments;
	struct handle *handle;
	char path[4096];
	int error;

	if (!get_arguments(env, info, 2, &arguments) || !(handle = get_handle(env, arguments.values[0], HANDLE_FD)) ||
	    !get_text(env, arguments.values[1], path, sizeof(path)))
		return NULL;
	log_begin();
	error = bpf_obj_pin(handle->fd, path);
	return error ? throw_errno(env, error, "pin %s", path) : undefined(env);
}

/* mapInfo(map) */
FUNCTION(map_info)
{
	struct bpf_map_info facts;
	struct arguments arguments;
	struct handle *map;
	napi_value result;

	if (!get_arguments(env, info, 1, &arguments) || !get_map(env, arguments.values[0], &map, &facts))
		return NULL;
	napi_create_object(env, &result);
	set_property(env, result, "id", new_u32(env, facts.id));
	set_property(env, result, "name", new_text(env, facts.name));
	set_property(env, result, "type", new_u32(env, facts.type));
	set_property(env, result, "keyBytes", new_u32(env, facts.key_size));
	set_property(env, result, "valueBytes", new_u32(env, value_bytes(&facts)));
	set_property(env, result, "maxEntries", new_u32(env, facts.max_entries));
	return result;
}

/* mapLookup(map, key, value): false when the key is absent, else value is filled */
FUNCTION(map_lookup)
{
	struct bpf_map_info facts;
	struct arguments arguments;
	struct bytes key, value;
	struct handle *map;

	if (!get_arguments(env, info, 3, &arguments) || !get_map(env, arguments.values[0], &map, &facts) ||
	    !get_bytes(env, arguments.values[1], facts.key_size, &key) ||
	    !get_bytes(env, arguments.values[2], value_bytes(&facts), &value))
		return NULL;
	log_begin();
	if (!bpf_map_lookup_elem(map->fd, key.data, value.data))
		return new_bool(env, true);
	return errno == ENOENT ? new_bool(env, false) : throw_errno(env, errno, "look up in map %s", facts.name);
}

/* mapUpdate(map, key, value, flags) */
FUNCTION(map_update)
{
	struct bpf_map_info facts;
	struct arguments arguments;
	struct bytes key, value;
	struct handle *map;
	uint32_t flags;

	if (!get_arguments(env, info, 4, &arguments) || !get_map(env, arguments.values[0], &map, &facts) ||
	    !get_bytes(env, arguments.values[1], facts.key_size, &key) ||
	    !get_bytes(env, arguments.values[2], value_bytes(&facts), &value) ||
	    !get_u32(env, arguments.values[3], &flags))
		return NULL;
	log_begin();
	if (!bpf_map_update_elem(map->fd, key.data, value.data, flags))
		return undefined(env);
	return throw_errno(env, errno, "write to map %s of %u entries", facts.name, facts.max_entries);
}

/* mapDelete(map, key): false when the key was absent */
FUNCTION(map_delete)
{
	struct bpf_map_info facts;
	struct arguments arguments;
	struct handle *map;
	struct bytes key;

	if (!get_arguments(env, info, 2, &arguments) || !get_map(env, arguments.values[0], &map, &facts) ||
	    !get_bytes(env, arguments.values[1], facts.key_size, &key))
		return NULL;
	log_begin();
	if (!bpf_map_delete_elem(map->fd, key.data))
		return new_bool(env, true);
	return errno == ENOENT ? new_bool(env, false) : throw_errno(env, errno, "delete from map %s", facts.name);
}

/* mapLookupBatch(map, cursor, resumed, keys, values, count): fills keys and values, moves the cursor; gives how many
 * were read, and as `done` whether there is no more. A hash bucket that is longer than `count` is ENOSPC. */
FUNCTION(map_lookup_batch)
{
	struct bytes cursor, keys, values;
	struct bpf_map_info facts;
	struct arguments arguments;
	uint32_t count, resumed;
	struct handle *map;
	napi_value result;
	bool done = false;

	if (!get_arguments(env, info, 6, &arguments) || !get_map(env, arguments.values[0], &map, &facts) ||
	    !get_bytes(env, arguments.values[1], facts.key_size < 4 ? 4 : facts.key_size, &cursor) ||
	    !get_u32(env, arguments.values[2], &resumed) || !get_u32(env, arguments.values[5], &count) ||
	    !get_bytes(env, arguments.values[3], (size_t)count * facts.key_size, &keys) ||
	    !get_bytes(env, arguments.values[4], count * value_bytes(&facts), &values))
		return NULL;
	log_begin();
	if (bpf_map_lookup_batch(map->fd, resumed ? cursor.data : NULL, cursor.data, keys.data, values.data, &count,
				 NULL)) {
		if (errno != ENOENT)
			return throw_errno(env, errno, "read map %s in batches", facts.name);
		done = true;
	}
	napi_create_object(env, &result);
	set_property(env, result, "count", new_u32(env, count));
	set_property(env, result, "done", new_bool(env, done));
	return result;
}

/* mapUpdateBatch(map, keys, values, count) */
FUNCTION(map_update_batch)
{
	struct bpf_map_info facts;
	struct arguments arguments;
	struct bytes keys, values;
	struct handle *map;
	uint32_t count, written;

	if (!get_arguments(env, info, 4, &arguments) || !get_map(env, arguments.values[0], &map, &facts) ||
	    !get_u32(env, arguments.values[3], &count) ||
	    !get_bytes(env, arguments.values[1], (size_t)count * facts.key_size, &keys) ||
	    !get_bytes(env, arguments.values[2], count * value_bytes(&facts), &values))
		return NULL;
	log_begin();
	written = count;
	if (count && bpf_map_update_batch(map->fd, keys.data, values.data, &written, NULL))
		return throw_errno(env, errno, "write %u entries to map %s of %u (%u written)", count, facts.name,
				   facts.max_entries, written);
	return undefined(env);
}

/* mapDeleteBatch(map, keys, count): gives how many were deleted before the first absent one */
FUNCTION(map_delete_batch)
{
	struct bpf_map_info facts;
	struct arguments arguments;
	struct handle *map;
	struct bytes keys;
	uint32_t count;

	if (!get_arguments(env, info, 3, &arguments) || !get_map(env, arguments.values[0], &map, &facts) ||
	    !get_u32(env, arguments.values[2], &count) ||
	    !get_bytes(env, arguments.values[1], (size_t)count * facts.key_size, &keys))
		return NULL;
	log_begin();
	if (count && bpf_map_delete_batch(map->fd, keys.data, &count, NULL) && errno != ENOENT)
		return throw_errno(env, errno, "delete from map %s in batches", facts.name);
	return new_u32(env, count);
}

/* possibleCpus() */
FUNCTION(possible_cpus)
{
	(void)info;
	return new_u32(env, libbpf_num_possible_cpus());
}
