/* The only file that sees cJSON: a struct json is a cJSON node. */
#include "json_inside.h"

#include <cjson/cJSON.h>
#include <pthread.h>

#include "base/heap.h"

/* cJSON's hooks are one for the process; while a thread parses, they serve its
 * arena. That doubles the rows a second: no free, no lock. */
static _Thread_local struct arena *parsing;
static pthread_once_t hooked = PTHREAD_ONCE_INIT;

static void *hook_malloc(size_t n)
{
	return parsing ? arena_alloc(parsing, n) : heap_alloc(n);
}

static void hook_free(void *p)
{
	if (parsing == NULL)
		heap_free(p);
}

static void set_hooks(void)
{
	cJSON_Hooks hooks = {hook_malloc, hook_free};

	cJSON_InitHooks(&hooks);
}

static const cJSON *node(const struct json *v)
{
	return (const cJSON *)v;
}

static const struct json *parse_scanned(struct arena *a, struct str text)
{
	cJSON *tree;

	pthread_once(&hooked, set_hooks);
	parsing = a;
	tree = cJSON_ParseWithLength(text.p, text.n);
	parsing = NULL;
	return (const struct json *)tree;
}

const struct json *json_parse(struct arena *a, struct str text, int max_depth, struct err *e)
{
	const struct json *tree;
	struct buf shorter = BUF_INIT;
	bool long_number;

	if (json_scan_numbers(text, max_depth, &long_number, e) < 0)
		return NULL;
	if (long_number) {
		json_shorten_numbers(&shorter, text);
		text = buf_view(&shorter);
	}
	tree = parse_scanned(a, text);
	buf_release(&shorter);
	if (tree == NULL)
		err_set(e, P_INTERNAL, "The parser refused a text of %zu bytes that is JSON", text.n);
	return tree;
}

enum json_type json_type(const struct json *v)
{
	switch (node(v)->type & 0xFF) {
	case cJSON_False:
	case cJSON_True:
		return JSON_BOOL;
	case cJSON_Number:
		return JSON_NUMBER;
	case cJSON_String:
		return JSON_STRING;
	case cJSON_Array:
		return JSON_ARRAY;
	case cJSON_Object:
		return JSON_OBJECT;
	default:
		return JSON_NULL;
	}
}

const char *json_type_name(const struct json *v)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",       [JSON_BOOL] = "a boolean", [JSON_NUMBER] = "a number",
		[JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
	};

	return names[json_type(v)];
}

bool json_bool(const struct json *v)
{
	return cJSON_IsTrue(node(v));
}

double json_number(const struct json *v)
{
	double d = node(v)->valuedouble;

	return d == 0 ? 0 : d;
}

struct str json_string(const struct json *v)
{
	return str_of(node(v)->valuestring);
}

size_t json_size(const struct json *v)
{
	size_t n = 0;

	for (const cJSON *c = node(v)->child; c; c = c->next)
		n++;
	return n;
}

const struct json *json_first(const struct json *v)
{
	return (const struct json *)node(v)->child;
}

const struct json *json_next(const struct json *v)
{
	return (const struct json *)node(v)->next;
}

struct str json_key(const struct json *member)
{
	return str_of(node(member)->string);
}

const struct json *json_get(const struct json *object, const char *key)
{
	return (const struct json *)cJSON_GetObjectItemCaseSensitive(node(object), key);
}
