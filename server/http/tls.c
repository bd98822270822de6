#include "tls.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/log.h"

enum { CHAIN_MAX = 16, PEM_BYTES_MAX = 1 << 20, KEY_ID_BYTES = 64 };

/* A certificate with its key. Never changed; handshakes under way may use it. */
struct pair {
	struct pair *next;   /* retired before this one */
	int64_t retired_us;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned chains;
	gnutls_privkey_t key;
};

struct tls {
	const char *cert, *key; /* paths */
	int64_t keep_us;
	struct file_mark cert_mark, key_mark; /* at the last look */
	struct pair *retired;
};

/* The library calls without a context of ours. */
static _Atomic(struct pair *) current;

/* --- a pair ------------------------------------------------------------------------------ */

static void pair_free(struct pair *p)
{
	if (p == NULL)
		return;
	for (unsigned i = 0; i < p->chains; i++)
		gnutls_pcert_deinit(&p->chain[i]);
	if (p->key)
		gnutls_privkey_deinit(p->key);
	heap_free(p);
}

static int wrong(struct err *e, const char *path, const char *why)
{
	return err_set(e, P_BAD_REQUEST, "TLS: %s: %s", path, why);
}

static int read_pem(const char *path, struct buf *pem, struct err *e)
{
	struct file_mark mark;
	struct err why;

	if (file_read(path, PEM_BYTES_MAX, pem, &mark, &why) < 0)
		return err_set(e, P_BAD_REQUEST, "TLS: %s", why.detail);
	return mark.inode ? 0 : wrong(e, path, "there is no such file");
}

static gnutls_datum_t datum_of(const struct buf *b)
{
	return (gnutls_datum_t){(unsigned char *)b->p, (unsigned)b->n};
}

static int read_chain(const struct tls *t, const struct buf *pem, struct pair *p, struct err *e)
{
	gnutls_datum_t d = datum_of(pem);
	unsigned n = CHAIN_MAX;
	int rc = gnutls_pcert_list_import_x509_raw(p->chain, &n, &d, GNUTLS_X509_FMT_PEM, 0);

	if (rc < 0)
		return wrong(e, t->cert, gnutls_strerror(rc));
	p->chains = n;
	return 0;
}

static int read_key(const struct tls *t, const struct buf *pem, struct pair *p, struct err *e)
{
	gnutls_datum_t d = datum_of(pem);
	int rc = gnutls_privkey_init(&p->key);

	if (rc == 0)
		rc = gnutls_privkey_import_x509_raw(p->key, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
	return rc < 0 ? wrong(e, t->key, gnutls_strerror(rc)) : 0;
}

static bool key_id(gnutls_pubkey_t key, unsigned char id[KEY_ID_BYTES])
{
	size_t n = KEY_ID_BYTES;

	memset(id, 0, KEY_ID_BYTES);
	return gnutls_pubkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, id, &n) == 0;
}

static int check_match(const struct tls *t, const struct pair *p, struct err *e)
{
	unsigned char ours[KEY_ID_BYTES], shown[KEY_ID_BYTES];
	gnutls_pubkey_t mine;
	bool same;

	if (gnutls_pubkey_init(&mine) < 0)
		return wrong(e, t->key, "no memory");
	same = gnutls_pubkey_import_privkey(mine, p->key, 0, 0) == 0 && key_id(mine, ours) &&
	       key_id(p->chain[0].pubkey, shown) && memcmp(ours, shown, KEY_ID_BYTES) == 0;
	gnutls_pubkey_deinit(mine);
	return same ? 0 : wrong(e, t->key, "this is not the certificate's key");
}

static int64_t expires_us(const struct pair *p)
{
	gnutls_x509_crt_t crt;
	int64_t us = 0;

	if (gnutls_x509_crt_init(&crt) < 0)
		return 0;
	if (gnutls_x509_crt_import(crt, &p->chain[0].cert, GNUTLS_X509_FMT_DER) == 0)
		us = (int64_t)gnutls_x509_crt_get_expiration_time(crt) * 1000000;
	gnutls_x509_crt_deinit(crt);
	return us;
}

/* NULL: e says why. */
static struct pair *pair_read(const struct tls *t, struct err *e)
{
	struct pair *p = heap_zalloc(1, sizeof *p);
	struct buf cert = BUF_INIT, key = BUF_INIT;
	int rc;

	rc = read_pem(t->cert, &cert, e);
	if (rc == 0)
		rc = read_chain(t, &cert, p, e);
	if (rc == 0)
		rc = read_pem(t->key, &key, e);
	if (rc == 0)
		rc = read_key(t, &key, p, e);
	if (rc == 0)
		rc = check_match(t, p, e);
	if (key.p)
		explicit_bzero(key.p, key.cap);
	buf_release(&cert);
	buf_release(&key);
	if (rc == 0)
		return p;
	pair_free(p);
	return NULL;
}

static void tell(const struct tls *t, const struct pair *p)
{
	int64_t until = expires_us(p);
	char text[CLOCK_TEXT_BYTES];

	clock_print(until, text);
	if (until < clock_now_us())
		log_warn("http", "the certificate has expired until=%s file=%s", text, t->cert);
	else
		log_info("http", "certificate until=%s file=%s", text, t->cert);
}

/* --- the library's call, on its threads ------------------------------------------------------ */

static int retrieve(gnutls_session_t session, const gnutls_datum_t *ca, int n_ca, const gnutls_pk_algorithm_t *algorithm,
                    int algorithms, gnutls_pcert_st **chain, unsigned *chains, gnutls_privkey_t *key)
{
	struct pair *p = atomic_load(&current);

	(void)session;
	(void)ca;
	(void)n_ca;
	(void)algorithm;
	(void)algorithms;
	if (p == NULL)
		return -1;
	*chain = p->chain;
	*chains = p->chains;
	*key = p->key;
	return 0;
}

void *tls_callback(void)
{
	return (void *)(uintptr_t)retrieve;
}

/* Whether a file is another one than at the last look: before it is read, so
 * that a change in between is seen at the next. */
static bool look(struct tls *t)
{
	struct file_mark cert = {0}, key = {0};
	struct err e;
	bool same;

	file_look(t->cert, &cert, &e); /* what cannot be looked at, the reading tells */
	file_look(t->key, &key, &e);
	same = file_same(&cert, &t->cert_mark) && file_same(&key, &t->key_mark);
	t->cert_mark = cert;
	t->key_mark = key;
	return !same;
}

/* --- life ---------------------------------------------------------------------------------- */

int tls_open(struct tls **out, const char *cert, const char *key, int keep_s, struct err *e)
{
	bool has_cert = strcmp(cert, "off") != 0, has_key = strcmp(key, "off") != 0;
	struct pair *p;
	struct tls *t;

	*out = NULL;
	if (!has_cert && !has_key)
		return 0;
	if (has_cert != has_key)
		return err_set(e, P_BAD_REQUEST, "TLS wants both tls_cert and tls_key");
	t = heap_zalloc(1, sizeof *t);
	t->cert = cert;
	t->key = key;
	t->keep_us = keep_s * INT64_C(1000000);
	look(t);
	p = pair_read(t, e);
	if (p == NULL) {
		heap_free(t);
		return -1;
	}
	tell(t, p);
	atomic_store(&current, p);
	*out = t;
	return 0;
}

void tls_close(struct tls *t)
{
	if (t == NULL)
		return;
	pair_free(atomic_exchange(&current, NULL));
	while (t->retired) {
		struct pair *p = t->retired;

		t->retired = p->next;
		pair_free(p);
	}
	heap_free(t);
}

/* --- while it serves ------------------------------------------------------------------------- */

/* The list is in order, the youngest first: behind the first that is old
 * enough all others are. */
static void free_old(struct tls *t, int64_t now_us)
{
	struct pair **at = &t->retired;

	while (*at && now_us - (*at)->retired_us < t->keep_us)
		at = &(*at)->next;
	while (*at) {
		struct pair *p = *at;

		*at = p->next;
		pair_free(p);
	}
}

void tls_look(struct tls *t, bool wished, int64_t now_us)
{
	struct pair *new, *old;
	struct err e = {0};

	if (t == NULL)
		return;
	free_old(t, now_us);
	if (!look(t) && !wished)
		return;
	new = pair_read(t, &e);
	if (new == NULL) {
		log_error("http", "the certificate in use stays: %s", e.detail);
		return;
	}
	tell(t, new);
	old = atomic_exchange(&current, new);
	old->retired_us = now_us;
	old->next = t->retired;
	t->retired = old;
}
