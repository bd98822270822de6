#include "gate.h"

#include "words.h"

enum { LENGTH_MAX_DIGITS = 18 }; /* below 2^63, whatever stands there */

void gate_init(struct gate *g)
{
	memset(g, 0, sizeof *g);
}

static void refuse(struct gate *g, const char *why)
{
	if (g->err.problem == P_NONE)
		err_set(&g->err, P_BAD_REQUEST, "%s", why);
}

/* RFC 9110's tchar. */
static bool token_byte(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
		return true;
	return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool name_valid(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!token_byte((unsigned char)name.p[i]))
			return false;
	return name.n > 0;
}

static bool value_valid(struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7F)
			return false;
	}
	return true;
}

static void take_length(struct gate *g, struct str value)
{
	if (++g->lengths > 1)
		refuse(g, "more than one Content-Length");
	if (value.n == 0 || value.n > LENGTH_MAX_DIGITS) {
		refuse(g, "Content-Length is not a number of bytes");
		return;
	}
	g->length = 0;
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			refuse(g, "Content-Length is not a number of bytes");
		g->length = g->length * 10 + (uint64_t)(value.p[i] - '0');
	}
}

static void take_coding(struct gate *g, struct str value)
{
	if (++g->codings > 1)
		refuse(g, "more than one Transfer-Encoding");
	if (!same_word(value, "chunked"))
		refuse(g, "the only Transfer-Encoding taken is chunked");
}

static void take_host(struct gate *g, struct str value)
{
	if (++g->hosts > 1)
		refuse(g, "more than one Host");
	for (size_t i = 0; i < value.n; i++)
		if (strchr(" \t,/@?#\\", value.p[i]) != NULL)
			refuse(g, "Host is not a host");
}

void gate_header(struct gate *g, struct str name, struct str value)
{
	if (!name_valid(name))
		refuse(g, "a header's name is not a token (no space may stand before the colon)");
	if (!value_valid(value))
		refuse(g, "a header's value holds a control byte");
	/* The library takes a trailing space as part of the value: what is
	 * compared here must be what it acts on, so nothing is trimmed. */
	if (same_word(name, "Content-Length"))
		take_length(g, value);
	else if (same_word(name, "Transfer-Encoding"))
		take_coding(g, value);
	else if (same_word(name, "Host"))
		take_host(g, str_trim(value));
	else if (same_word(name, "Authorization") && ++g->authorizations > 1)
		refuse(g, "more than one Authorization");
}

int gate_end(struct gate *g, struct str version, struct err *e)
{
	bool one = str_eq(version, STR("HTTP/1.1"));

	if (!one && !str_eq(version, STR("HTTP/1.0")))
		refuse(g, "prefd speaks HTTP/1.1 and HTTP/1.0");
	if (g->lengths > 0 && g->codings > 0)
		refuse(g, "both Content-Length and Transfer-Encoding");
	if (!one && g->codings > 0)
		refuse(g, "HTTP/1.0 has no Transfer-Encoding");
	if (one && g->hosts == 0)
		refuse(g, "HTTP/1.1 wants a Host");
	if (g->err.problem == P_NONE)
		return 0;
	*e = g->err;
	return -1;
}

bool gate_has_body(const struct gate *g)
{
	return g->codings > 0 || g->length > 0;
}
