/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"

/* src/native.ts declares the same functions with their types. */
NAPI_MODULE_INIT()
{
	static const struct {
		const char *name;
		napi_callback function;
	} table[] = {
		{ "setErrorClass", set_error_class },
		{ "close", close_handle },
		{ "openObject", open_object },
		{ "objectMaps", object_maps },
		{ "setMaxEntries", set_max_entries },
		{ "useMap", use_map },
		{ "setConstant", set_constant },
		{ "setProgramType", set_program_type },
		{ "loadObject", load_object },
		{ "takeMap", take_map },
		{ "takeProgram", take_program },
		{ "describeTypes", describe_types },
		{ "openPinned", open_pinned },
		{ "openMapById", open_map_by_id },
		{ "pin", pin },
		{ "mapInfo", map_info },
		{ "mapFields", map_fields },
		{ "mapLookup", map_lookup },
		{ "mapUpdate", map_update },
		{ "mapDelete", map_delete },
		{ "mapLookupBatch", map_lookup_batch },
		{ "mapUpdateBatch", map_update_batch },
		{ "mapDeleteBatch", map_delete_batch },
		{ "programInfo", program_info },
		{ "openProgramById", open_program_by_id },
		{ "runProgram", run_program },
		{ "attachTc", attach_tc },
		{ "detachTc", detach_tc },
		{ "queryTc", query_tc },
		{ "interfaces", interfaces },
		{ "attachCgroup", attach_cgroup },
		{ "attachNetfilter", attach_netfilter },
		{ "updateLink", update_link },
		{ "attachMap", attach_map },
		{ "netnsCookie", netns_cookie },
		{ "openRing", open_ring },
		{ "drainRing", drain_ring },
		{ "watchProcess", watch_process },
		{ "watchLinks", watch_links },
		{ "destroySockets", destroy_sockets },
		{ "listeningPorts", listening_ports },
		{ "probeMapType", probe_map_type },
		{ "probeProgramType", probe_program_type },
		{ "probeHelper", probe_helper },
		{ "probeKfunc", probe_kfunc },
		{ "probeSplice", probe_splice },
	};

	error_setup(env);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		napi_value function;

		napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].function, NULL, &function);
		napi_set_named_property(env, exports, table[i].name, function);
	}
	return exports;
}
