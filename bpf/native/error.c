/* SPDX-License-Identifier: Apache-2.0 */
/* Errors carry the errno's name, the operation, and everything libbpf and the verifier said during it. */
#include "addon.h"
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>

#define MAX_LOG (4 << 20)

/* libbpf's print hook is one per process; what it says belongs to the thread's operation under way. */
static __thread struct {
	char *text;
	size_t length;
} saved;

static int print(enum libbpf_print_level level, const char *format, va_list list)
{
	va_list again;
	int length;
	char *grown;

	if (level == LIBBPF_DEBUG)
		return 0;
	va_copy(again, list);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length <= 0 || saved.length + length > MAX_LOG)
		return 0;
	grown = realloc(saved.text, saved.length + length + 1);
	if (!grown)
		return 0;
	saved.text = grown;
	vsnprintf(saved.text + saved.length, length + 1, format, list);
	saved.length += length;
	return length;
}

void log_begin(void)
{
	free(saved.text);
	saved.text = NULL;
	saved.length = 0;
}

static void drop_reference(napi_env env, void *data, void *hint)
{
	(void)hint;
	if (*(napi_ref *)data)
		napi_delete_reference(env, *(napi_ref *)data);
	free(data);
}

void error_setup(napi_env env)
{
	napi_set_instance_data(env, calloc(1, sizeof(napi_ref)), drop_reference, NULL);
	libbpf_set_print(print);
}

/* setErrorClass(class): what is thrown, constructed with (code, operation, log). */
FUNCTION(set_error_class)
{
	struct arguments arguments;
	napi_ref *reference;

	if (!get_arguments(env, info, 1, &arguments))
		return NULL;
	napi_get_instance_data(env, (void **)&reference);
	if (!*reference)
		napi_create_reference(env, arguments.values[0], 1, reference);
	return undefined(env);
}

napi_value throw_errno(napi_env env, int error, const char *format, ...)
{
	napi_value class, thrown, constructor_arguments[3];
	char operation[512];
	const char *name;
	napi_ref *reference;
	va_list list;

	error = error < 0 ? -error : error;
	va_start(list, format);
	vsnprintf(operation, sizeof(operation), format, list);
	va_end(list);
	name = strerrorname_np(error);
	napi_get_instance_data(env, (void **)&reference);
	if (!*reference || napi_get_reference_value(env, *reference, &class) != napi_ok)
		return throw_type(env, operation);
	constructor_arguments[0] = new_text(env, name ? name : "UNKNOWN");
	constructor_arguments[1] = new_text(env, operation);
	constructor_arguments[2] = new_text(env, saved.text ? saved.text : "");
	log_begin();
	if (napi_new_instance(env, class, 3, constructor_arguments, &thrown) == napi_ok)
		napi_throw(env, thrown);
	return NULL;
}

napi_value throw_type(napi_env env, const char *message)
{
	napi_throw_type_error(env, NULL, message);
	return NULL;
}
