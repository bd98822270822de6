#include "fault.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A place in the registry. The version is odd while from and end stand; a
 * reader that finds it odd and unchanged has read what belongs together. */
struct fault_watch {
	_Atomic uint64_t version;
	_Atomic uintptr_t from, end;
	_Atomic bool taken, seen;
};

/* Read by a signal handler, hence static, and atomics without a lock. */
static struct fault_watch watches[FAULT_MAPPINGS_MAX];
static _Atomic size_t first_free; /* where to look first; only a hint */
static _Atomic uintptr_t page_bytes;
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2 && ATOMIC_BOOL_LOCK_FREE == 2,
               "a signal handler takes no lock");

/* --- the handler: nothing but atomics and two system calls ------------------------------ */

static bool covers(const struct fault_watch *w, uintptr_t at)
{
	uint64_t version = atomic_load(&w->version);
	bool inside;

	if (version % 2 == 0)
		return false;
	inside = at >= atomic_load(&w->from) && at < atomic_load(&w->end);
	return inside && atomic_load(&w->version) == version;
}

static struct fault_watch *find(uintptr_t at)
{
	for (size_t i = 0; i < FAULT_MAPPINGS_MAX; i++)
		if (covers(&watches[i], at))
			return &watches[i];
	return NULL;
}

/* First the mark, so that nobody sees the zeros without it. The bare call:
 * wrappers, of a sanitizer say, may do more than a handler allows. */
static bool put_zeros(struct fault_watch *w, uintptr_t at)
{
	size_t page = atomic_load(&page_bytes);

	atomic_store(&w->seen, true);
	return syscall(SYS_mmap, at / page * page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != -1;
}

/* When it was no mapping of ours, the instruction runs again and ends the
 * process; a signal that somebody sent is sent again for that. */
static void on_bus(int number, siginfo_t *info, void *context)
{
	int kept = errno;
	bool sent = info->si_code <= 0;
	struct fault_watch *w = sent ? NULL : find((uintptr_t)info->si_addr);

	(void)context;
	if (w == NULL || !put_zeros(w, (uintptr_t)info->si_addr)) {
		signal(number, SIG_DFL);
		if (sent)
			raise(number);
	}
	errno = kept;
}

/* With every mapping anew: it costs one call, and needs no memory of whether
 * somebody else (a test's frame) has put a handler of its own in its place. */
static void take_signal(void)
{
	struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_RESTART};

	atomic_store(&page_bytes, (uintptr_t)sysconf(_SC_PAGESIZE));
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

/* --- the registry ------------------------------------------------------------------------- */

static struct fault_watch *take_place(void)
{
	size_t first = atomic_load(&first_free);

	for (size_t i = 0; i < FAULT_MAPPINGS_MAX; i++) {
		size_t at = (first + i) % FAULT_MAPPINGS_MAX;

		if (!atomic_load(&watches[at].taken) && !atomic_exchange(&watches[at].taken, true)) {
			atomic_store(&first_free, (at + 1) % FAULT_MAPPINGS_MAX);
			return &watches[at];
		}
	}
	return NULL;
}

struct fault_watch *fault_watch(const void *from, size_t n)
{
	struct fault_watch *w = take_place();

	if (w == NULL)
		return NULL;
	take_signal();
	atomic_store(&w->seen, false);
	atomic_store(&w->from, (uintptr_t)from);
	atomic_store(&w->end, (uintptr_t)from + n);
	atomic_fetch_add(&w->version, 1);
	return w;
}

void fault_unwatch(struct fault_watch *w)
{
	size_t at = w ? (size_t)(w - watches) : 0;

	if (w == NULL)
		return;
	atomic_fetch_add(&w->version, 1);
	atomic_store(&w->taken, false);
	if (at < atomic_load(&first_free))
		atomic_store(&first_free, at); /* low places first, so that few are ever touched */
}

/* The mark must not be read before what it speaks of was read. Another
 * thread's zeros come through the page tables, which the thread sanitizer does
 * not follow anyway, so that it may warn of the fence in vain. */
#pragma GCC diagnostic push
#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic ignored "-Wtsan"
#endif
bool fault_seen(const struct fault_watch *w)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&w->seen, memory_order_relaxed);
}
#pragma GCC diagnostic pop
