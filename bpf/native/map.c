/* SPDX-License-Identifier: Apache-2.0 */
/* Maps. Sizes of keys and values are asked of the kernel, so that no buffer can be too short for it. */
#include "addon.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

struct map {
	struct handle *handle;
	int fd;
	/* What the kernel copies for a value: per-CPU maps have one for every possible CPU, each padded to 8 bytes. */
	size_t value_bytes;
	struct bpf_map_info facts;
};

/* Asks the kernel for the facts of the map that `handle` holds; throws and gives false when it is none. */
static bool ask(napi_env env, struct map *map)
{
	uint32_t length = sizeof(map->facts);

	map->fd = map->handle->fd;
	memset(&map->facts, 0, sizeof(map->facts));
	log_begin();
	if (bpf_obj_get_info_by_fd(map->fd, &map->facts, &length)) {
		throw_errno(env, errno, "read facts of a map");
		return false;
	}
	map->value_bytes = map->facts.value_size;
	switch (map->facts.type) {
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		map->value_bytes = (size_t)((map->facts.value_size + 7) & ~7u) * libbpf_num_possible_cpus();
	}
	return true;
}

static bool has_entries(napi_env env, const struct map *map, uint32_t count, const struct bytes *keys,
			const struct bytes *values)
{
	return has_bytes(env, keys, count, map->facts.key_size) &&
	       (!values || has_bytes(env, values, count, map->value_bytes));
}

static napi_value opened(napi_env env, int fd, const char *what, const char *name)
{
	return fd < 0 ? throw_errno(env, fd, "open %s %s", what, name) : new_fd(env, fd);
}

/* openPinned(path): a map, program or link */
FUNCTION(open_pinned)
{
	char path[MAX_TEXT];

	if (!read_arguments(env, info, "t", path))
		return NULL;
	log_begin();
	return opened(env, bpf_obj_get(path), "pinned", path);
}

/* openMapById(id) */
FUNCTION(open_map_by_id)
{
	uint32_t id;
	int fd;

	if (!read_arguments(env, info, "u", &id))
		return NULL;
	log_begin();
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? throw_errno(env, fd, "open map %u", id) : new_fd(env, fd);
}

/* pin(handle, path): a map, program or link */
FUNCTION(pin)
{
	struct handle *handle;
	char path[MAX_TEXT];
	int error;

	if (!read_arguments(env, info, "dt", &handle, path))
		return NULL;
	log_begin();
	error = bpf_obj_pin(handle->fd, path);
	return error ? throw_errno(env, error, "pin %s", path) : undefined(env);
}

/* mapInfo(map) */
FUNCTION(map_info)
{
	napi_value result;
	struct map map;

	if (!read_arguments(env, info, "d", &map.handle) || !ask(env, &map))
		return NULL;
	napi_create_object(env, &result);
	set_property(env, result, "name", new_text(env, map.facts.name));
	set_number(env, result, "id", map.facts.id);
	set_number(env, result, "type", map.facts.type);
	set_number(env, result, "keyBytes", map.facts.key_size);
	set_number(env, result, "valueBytes", map.value_bytes);
	set_number(env, result, "maxEntries", map.facts.max_entries);
	return result;
}

/* mapFields(map): the fields of its key and value, as the BTF tells that it was made with; none without BTF */
FUNCTION(map_fields)
{
	napi_value result, key, value;
	struct btf *btf;
	struct map map;

	if (!read_arguments(env, info, "d", &map.handle) || !ask(env, &map))
		return NULL;
	napi_create_object(env, &result);
	napi_create_array(env, &key);
	napi_create_array(env, &value);
	btf = map.facts.btf_id ? btf__load_from_kernel_by_id(map.facts.btf_id) : NULL;
	if (btf) {
		list_fields(env, btf, map.facts.btf_key_type_id, "", 0, key);
		list_fields(env, btf, map.facts.btf_value_type_id, "", 0, value);
		btf__free(btf);
	}
	set_property(env, result, "key", key);
	set_property(env, result, "value", value);
	return result;
}

/* mapLookup(map, key, value): false when the key is absent, else value is filled */
FUNCTION(map_lookup)
{
	struct bytes key, value;
	struct map map;

	if (!read_arguments(env, info, "dbb", &map.handle, &key, &value) || !ask(env, &map) ||
	    !has_entries(env, &map, 1, &key, &value))
		return NULL;
	if (!bpf_map_lookup_elem(map.fd, key.data, value.data))
		return new_bool(env, true);
	return errno == ENOENT ? new_bool(env, false) : throw_errno(env, errno, "look up in map %s", map.facts.name);
}

/* mapUpdate(map, key, value, flags) */
FUNCTION(map_update)
{
	struct bytes key, value;
	struct map map;
	uint32_t flags;

	if (!read_arguments(env, info, "dbbu", &map.handle, &key, &value, &flags) || !ask(env, &map) ||
	    !has_entries(env, &map, 1, &key, &value))
		return NULL;
	if (!bpf_map_update_elem(map.fd, key.data, value.data, flags))
		return undefined(env);
	return throw_errno(env, errno, "write to map %s of %u entries", map.facts.name, map.facts.max_entries);
}

/* mapDelete(map, key): false when the key was absent */
FUNCTION(map_delete)
{
	struct bytes key;
	struct map map;

	if (!read_arguments(env, info, "db", &map.handle, &key) || !ask(env, &map) ||
	    !has_entries(env, &map, 1, &key, NULL))
		return NULL;
	if (!bpf_map_delete_elem(map.fd, key.data))
		return new_bool(env, true);
	return errno == ENOENT ? new_bool(env, false) : throw_errno(env, errno, "delete from map %s", map.facts.name);
}

/* mapLookupBatch(map, cursor, resumed, keys, values, count): fills keys and values, moves the cursor; gives how many
 * were read, and as `done` whether there is no more. A hash bucket that is longer than `count` is ENOSPC. */
FUNCTION(map_lookup_batch)
{
	struct bytes cursor, keys, values;
	uint32_t count, resumed;
	napi_value result;
	struct map map;
	int error;

	if (!read_arguments(env, info, "dbubbu", &map.handle, &cursor, &resumed, &keys, &values, &count) ||
	    !ask(env, &map) || !has_bytes(env, &cursor, 1, map.facts.key_size < 4 ? 4 : map.facts.key_size) ||
	    !has_entries(env, &map, count, &keys, &values))
		return NULL;
	error = bpf_map_lookup_batch(map.fd, resumed ? cursor.data : NULL, cursor.data, keys.data, values.data, &count,
				     NULL);
	if (error && errno != ENOENT)
		return throw_errno(env, errno, "read map %s in batches", map.facts.name);
	napi_create_object(env, &result);
	set_number(env, result, "count", count);
	set_property(env, result, "done", new_bool(env, error));
	return result;
}

/* mapUpdateBatch(map, keys, values, count) */
FUNCTION(map_update_batch)
{
	struct bytes keys, values;
	uint32_t count, written;
	struct map map;

	if (!read_arguments(env, info, "dbbu", &map.handle, &keys, &values, &count) || !ask(env, &map) ||
	    !has_entries(env, &map, count, &keys, &values))
		return NULL;
	written = count;
	if (count && bpf_map_update_batch(map.fd, keys.data, values.data, &written, NULL))
		return throw_errno(env, errno, "write %u entries to map %s of %u (%u written)", count, map.facts.name,
				   map.facts.max_entries, written);
	return undefined(env);
}

/* mapDeleteBatch(map, keys, count): gives how many were deleted before the first absent one */
FUNCTION(map_delete_batch)
{
	struct bytes keys;
	uint32_t count;
	struct map map;

	if (!read_arguments(env, info, "dbu", &map.handle, &keys, &count) || !ask(env, &map) ||
	    !has_entries(env, &map, count, &keys, NULL))
		return NULL;
	if (count && bpf_map_delete_batch(map.fd, keys.data, &count, NULL) && errno != ENOENT)
		return throw_errno(env, errno, "delete from map %s in batches", map.facts.name);
	return new_u32(env, count);
}
