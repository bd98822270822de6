#include "verb.h"

#include <stdio.h>

enum { SERVER = 256, FLAG, PART = FLAG + VERB_OPTIONS_MAX };

static void make_options(const struct verb *v, struct option options[2 * VERB_OPTIONS_MAX + 3])
{
	size_t n = 0;

	options[n++] = (struct option){"server", required_argument, NULL, SERVER};
	options[n++] = (struct option){"help", no_argument, NULL, 'h'};
	for (size_t i = 0; i < v->flags; i++)
		options[n++] = (struct option){v->flag[i].name, v->flag[i].has_value ? required_argument : no_argument, NULL,
		                               FLAG + (int)i};
	for (size_t i = 0; i < v->parts; i++)
		options[n++] = (struct option){v->part[i].option, required_argument, NULL, PART + (int)i};
	options[n] = (struct option){NULL, 0, NULL, 0};
}

static void set(const struct flag *f, struct verb_options *options)
{
	char *at = (char *)options + f->at;

	if (f->has_value)
		*(const char **)(void *)at = optarg;
	else
		*(bool *)at = true;
}

int verb_read(const struct verb *v, int argc, char **argv, struct verb_options *options)
{
	struct option known[2 * VERB_OPTIONS_MAX + 3];
	int c;

	make_options(v, known);
	while ((c = cli_option(v->command, argc, argv, known)) != -1) {
		if (c == 'h') {
			fputs(v->usage, stdout);
			return CLI_DONE;
		}
		if (c == SERVER)
			options->server = optarg;
		else if (c >= PART)
			options->value[c - PART] = optarg;
		else if (c >= FLAG)
			set(&v->flag[c - FLAG], options);
		else
			return c == '?' ? CLI_USAGE : cli_misused(v->command, "-%c is not an option", c);
	}
	options->argument = argv + optind;
	if (optind + v->arguments != argc)
		return cli_misused(v->command, "%s", v->wanted);
	return VERB_GO;
}

bool verb_count(const struct verb *v, const char *option, const char *value, uint64_t *n)
{
	if (cli_whole(value, n) && *n > 0)
		return true;
	cli_misused(v->command, "--%s is a whole number from 1 on, not '%s'", option, value);
	return false;
}

/* --- documents ------------------------------------------------------------------- */

const char *verb_value(const struct verb *v, const struct verb_options *options, const char *option)
{
	for (size_t i = 0; i < v->parts; i++)
		if (strcmp(v->part[i].option, option) == 0)
			return options->value[i];
	return NULL;
}

static void put_names(struct buf *b, const char *list)
{
	buf_byte(b, '[');
	while (*list) {
		size_t n = strcspn(list, ",");

		json_put_comma(b);
		json_put_string(b, (struct str){list, n});
		list += n + (list[n] == ',');
	}
	buf_byte(b, ']');
}

static bool is_number(const char *text)
{
	struct err e;

	return *text && strspn(text, "-+.0123456789eE") == strlen(text) && json_scan(str_of(text), 1, &e) == 0;
}

static int put_value(struct buf *b, const struct verb *v, const struct part *p, const char *value)
{
	struct err e;

	if (p->value == PART_NAMES) {
		put_names(b, value);
	} else if (p->value == PART_TEXT || (p->value == PART_ALPHA && strcmp(value, "auto") == 0)) {
		json_put_string(b, str_of(value));
	} else if (p->value == PART_OBJECT) {
		if (json_scan(str_of(value), JSON_DEPTH_MAX, &e) < 0)
			return cli_misused(v->command, "--%s: %s", p->option, e.detail);
		json_compact(b, str_of(value));
	} else {
		if (!is_number(value))
			return cli_misused(v->command, "--%s is a number, not '%s'", p->option, value);
		buf_z(b, value);
	}
	return CLI_DONE;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

int verb_document(const struct verb *v, const struct verb_options *options, struct buf *out)
{
	const char *object = NULL;
	int rc = CLI_DONE;

	buf_byte(out, '{');
	for (size_t i = 0; i < v->parts && rc == CLI_DONE; i++) {
		const struct part *p = &v->part[i];

		if (options->value[i] == NULL)
			continue;
		if (!same(p->object, object) && object)
			buf_byte(out, '}');
		if (!same(p->object, object) && p->object) {
			json_put_key(out, p->object);
			buf_byte(out, '{');
		}
		object = p->object;
		json_put_key(out, p->key);
		rc = put_value(out, v, p, options->value[i]);
	}
	buf_z(out, object ? "}}" : "}");
	return rc;
}
